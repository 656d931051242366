/**
 * `quorate cert issue`, `cert csr` and `cert renew`.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Command } from "commander";
import { fromUtf8 } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { putFiles } from "../src/node/certificate_files.ts";
import { checkMaterial, readMaterial } from "../src/node/certificates.ts";
import { NAME_EXPECTED, NAME_PATTERN, partyConfig } from "../src/node/config.ts";
import { readPublicText, readSecretText } from "../src/node/local_party.ts";
import { type CertifiedKey, issueLeaf, issueOperator, issueRequested } from "../src/pki/authority.ts";
import { pinOf } from "../src/pki/pin.ts";
import { createRequest } from "../src/pki/request.ts";
import {
  addAuthorityOptions,
  addSubjectOptions,
  authorityOf,
  type AuthorityPlace,
  clusterNameOf,
  daysOf,
  subjectOf,
  type SubjectOptions,
} from "./cert_options.ts";
import { configOf, type GlobalOptions, optionsOf } from "./options.ts";
import { print, readInput } from "./output.ts";

interface IssueOptions extends AuthorityPlace, SubjectOptions {
  readonly csr?: string;
  readonly operator?: string;
  readonly out: string;
  readonly days?: string;
  readonly force?: boolean;
}

interface CsrOptions extends SubjectOptions {
  readonly out: string;
  readonly force?: boolean;
}

interface RenewOptions extends AuthorityPlace {
  readonly days?: string;
  readonly activate?: boolean;
  readonly force?: boolean;
}

/** Adds `cert issue`. */
export function addCertIssue(cert: Command): void {
  addSubjectOptions(addAuthorityOptions(
    cert.command("issue").description("issue a party's certificate, for a new key or for a request"),
  ))
    .option("--operator <name>", "an operator's certificate instead: it asks nodes, and is no party")
    .option("--csr <file>", "a request that the party made with cert csr: its key stays on its host")
    .requiredOption("--out <directory>", "where cert.pem goes, and key.pem where there is no request")
    .option("--days <number>", "how long it holds (default: 90)")
    .option("--force", "replace files that are there, and keep copies of them")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<IssueOptions>(command);
      if (options.operator !== undefined) return await issueForOperator(options, options.operator);
      const { cluster, party, host } = subjectOf(options);
      const days = daysOf(options.days, 90, 825);
      const input = { authority: authorityOf(options), cluster, party, host, days };
      const certPath = join(options.out, "cert.pem");
      if (options.csr !== undefined) {
        const requestPem = fromUtf8(await readInput(options.csr)) ?? "";
        const content = await issueRequested({ ...input, requestPem });
        putFiles([{ path: certPath, content }], options);
        return report(options.json, certPath, undefined, pinOf(content));
      }
      putPair(options, await issueLeaf(input));
    });
}

/** Adds `cert csr`. */
export function addCertCsr(cert: Command): void {
  addSubjectOptions(
    cert.command("csr").description("make a key on the party's own host, and a request for its certificate"),
  )
    .requiredOption("--out <directory>", "where key.pem and request.pem go")
    .option("--force", "replace files that are there, and keep copies of them")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<CsrOptions>(command);
      const made = await createRequest(subjectOf(options));
      const request = join(options.out, "request.pem"), key = join(options.out, "key.pem");
      putFiles([{ path: key, content: made.keyPem, secret: true }, {
        path: request,
        content: made.requestPem,
      }], options);
      print(options.json, { request, key }, `${request}\n${key}\n`);
    });
}

/** Adds `cert renew`. */
export function addCertRenew(cert: Command): void {
  addAuthorityOptions(
    cert.command("renew").description(
      "make a party's next certificate with a new key; with --activate, put it to use",
    ),
  )
    .option("--days <number>", "how long it holds (default: 90)")
    .option("--activate", "put the next certificate in the place of the present one, which is kept beside it")
    .option("--force", "replace a next certificate that is there, and keep a copy of it")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RenewOptions>(command);
      const party = requireParty(options);
      const next = join(dirname(party.certPath), "next");
      const certPath = join(next, "cert.pem"), keyPath = join(next, "key.pem");
      if (options.activate === true) return activate(options, certPath, keyPath);
      const made = await issueLeaf({
        authority: authorityOf(options),
        cluster: configOf(options).cluster,
        party: party.name,
        host: party.address.host,
        days: daysOf(options.days, 90, 825),
      });
      putFiles([{ path: certPath, content: made.certPem }, {
        path: keyPath,
        content: made.keyPem,
        secret: true,
      }], options);
      const pin = pinOf(made.certPem);
      const known = party.pins.includes(pin);
      print(
        options.json,
        { certificate: certPath, key: keyPath, pin, known },
        `${certPath}\nadd this to tls_pin of ${party.name} in the configuration of every host, beside the present one:\n${pin}\n` +
          `then run cert renew --activate at ${party.name}\n`,
      );
    });
}

/** Puts the next certificate to use: not before the configuration has its pin, or every peer would refuse it. */
function activate(options: RenewOptions, certPath: string, keyPath: string): void {
  const party = requireParty(options);
  const config = configOf(options);
  const certPem = readPublicText(certPath, "the next certificate");
  const keyPem = readSecretText(keyPath, "the next key");
  const pin = pinOf(certPem);
  if (!party.pins.includes(pin)) {
    throw new UsageError(
      "IDENTITY_INVALID",
      `${pin} is not in tls_pin of ${party.name}: add it to the configuration of every host first`,
      { party: party.name },
    );
  }
  const { tls, ...rest } = readMaterial(config, party);
  checkMaterial(config, party, { ...rest, tls: { ...tls, certPem, keyPem } });
  const copies = putFiles([
    { path: party.keyPath, content: keyPem, secret: true },
    { path: party.certPath, content: certPem },
  ], { force: true });
  Deno.removeSync(dirname(certPath), { recursive: true });
  print(
    options.json,
    { certificate: party.certPath, key: party.keyPath, pin, copies },
    `${party.certPath} is the new one; take the old pin out of the configuration when all hosts have seen it\n`,
  );
}

function requireParty(options: GlobalOptions): ReturnType<typeof partyConfig> {
  if (options.party !== undefined) return partyConfig(configOf(options), options.party);
  throw new UsageError("USAGE", "--party is missing: it names the party whose certificate is renewed");
}

/** Of the certificate by which operators are known only the name counts: nodes pin no key of theirs. */
async function issueForOperator(options: IssueOptions, operator: string): Promise<void> {
  if (options.party !== undefined || options.csr !== undefined || options.host !== undefined) {
    throw new UsageError("USAGE", "--operator goes with none of --party, --host and --csr");
  }
  if (!NAME_PATTERN.test(operator)) {
    throw new UsageError("USAGE", `--operator must be ${NAME_EXPECTED}: found ${JSON.stringify(operator)}`);
  }
  const days = daysOf(options.days, 90, 825);
  const cluster = clusterNameOf(options);
  const made = await issueOperator({ authority: authorityOf(options), cluster, operator, days });
  const { certPath, keyPath, copies } = putCertifiedKey(options, made);
  print(
    options.json,
    { certificate: certPath, key: keyPath, operator, copies },
    `${certPath}\n${keyPath}\nname them as operator_cert_path and operator_key_path in [node] on the host of ${operator}\n`,
  );
}

function putPair(options: IssueOptions, made: CertifiedKey): void {
  const { certPath, keyPath } = putCertifiedKey(options, made);
  report(options.json, certPath, keyPath, pinOf(made.certPem));
}

function putCertifiedKey({ out, ...options }: IssueOptions, { certPem, keyPem }: CertifiedKey) {
  const certPath = join(out, "cert.pem"), keyPath = join(out, "key.pem");
  const copies = putFiles([
    { path: certPath, content: certPem },
    { path: keyPath, content: keyPem, secret: true },
  ], options);
  return { certPath, keyPath, copies };
}

function report(json: boolean | undefined, certificate: string, key: string | undefined, pin: string): void {
  const value = { certificate, ...(key === undefined ? {} : { key }), pin };
  print(json, value, `${[certificate, ...(key === undefined ? [] : [key])].join("\n")}\ntls_pin ${pin}\n`);
}
