# etcd as Debian packages it, which is what the tests of the stores run against.
FROM debian:12-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends etcd-server etcd-client \
  && rm --recursive --force /var/lib/apt/lists/* \
  && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/etcd
ENV ETCDCTL_API=3
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/etcd"]
