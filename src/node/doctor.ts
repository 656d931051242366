/**
 * What is wrong with a party's surroundings, graded, each with what to do about it: its own certificate, the authorities, the
 * revocation lists, and every peer from its connection to its clock.
 *
 * @module
 */

import { QuorateError } from "../base/errors.ts";
import { daysUntil } from "../pki/inspect.ts";
import type { LinkCode } from "../transport/faults.ts";
import type { PeerStatus } from "../transport/mesh.ts";
import { loadCertificates } from "./certificates.ts";
import { type Config, formatAddress, type PartyConfig } from "./config.ts";

/** How bad it is. */
export type Grade = "ok" | "warn" | "fail";

/** What is looked at, in the order in which a connection comes about. */
export const ASPECTS = [
  "connection",
  "pin",
  "identity",
  "version",
  "roster",
  "clock",
  "round trip",
  "certificate",
  "revocation list",
] as const;

/** One of {@linkcode ASPECTS}. */
export type Aspect = typeof ASPECTS[number];

/** One thing that was looked at. */
export interface Finding {
  /** Name of the party, or common name of the authority. */
  readonly who: string;
  /** What was looked at. */
  readonly what: Aspect;
  /** How bad it is. */
  readonly grade: Grade;
  /** What was found, in a few characters. */
  readonly value: string;
  /** The same as a sentence; where it is bad, with what to do. */
  readonly text: string;
  /** The reason class of what is bad: a code of links or of errors. */
  readonly code?: string;
}

/** What {@linkcode diagnose} judges. */
export interface Surroundings {
  /** The cluster. */
  readonly config: Config;
  /** The party that looks around. */
  readonly party: PartyConfig;
  /** How its links are: those of `Party.reachPeers` or of the mesh of a node that runs. */
  readonly peers: readonly PeerStatus[];
  /** Why the last connection of nobody in particular was refused here. */
  readonly turnedAway?: string | undefined;
  /** Milliseconds since 1970; default: now. */
  readonly now?: number;
}

/** From where on a figure is bad. */
export const DOCTOR_LIMITS = {
  clockWarnMs: 200,
  clockFailMs: 30_000,
  roundTripWarnMs: 500,
  certificateDays: { warn: 14, fail: 3 },
  listDays: { warn: 7, fail: 1 },
} as const;

/** Judges everything, the own side first. */
export function diagnose(surroundings: Surroundings): Finding[] {
  const { config, party, now = Date.now() } = surroundings;
  return [...examineCertificates(config, party, now), ...diagnosePeers(surroundings)];
}

/** Judges the peers alone, as their links show them. */
export function diagnosePeers(
  { config, party, peers, turnedAway, now = Date.now() }: Surroundings,
): Finding[] {
  return peers.flatMap((peer) => {
    const { address } = config.parties[peer.peer - 1] as PartyConfig;
    const context = { address: formatAddress(address), listen: formatAddress(party.listen), turnedAway };
    return peer.state === "down" ? [downOf(peer, context)] : linkOf(peer, now);
  });
}

/** Grades what the party shows and judges by, without a network. */
export function examineCertificates(config: Config, party: PartyConfig, now: number): Finding[] {
  try {
    const { certificate, authorities, lists } = loadCertificates(config, party);
    return [
      endOf(party.name, certificate.notAfter, now, "run cert renew"),
      ...authorities.map(({ subject, notAfter }) => endOf(subject, notAfter, now, "run cert rotate-ca")),
      ...lists.map(({ issuer, nextUpdate }) => listOf(issuer ?? "unknown", nextUpdate, now)),
    ];
  } catch (error) {
    if (!(error instanceof QuorateError)) throw error;
    const { code, message } = error;
    return [{ who: party.name, what: "certificate", grade: "fail", value: "unusable", text: message, code }];
  }
}

/** The worst of all grades. */
export function worstOf(findings: readonly Pick<Finding, "grade">[]): Grade {
  const grades: readonly Grade[] = ["fail", "warn"];
  return grades.find((grade) => findings.some((finding) => finding.grade === grade)) ?? "ok";
}

/** Whether something failed because somebody is not who he should be, or cannot show it. */
export function isAboutIdentity(findings: readonly Finding[]): boolean {
  return findings.some(({ grade, what }) =>
    grade === "fail" && ["pin", "identity", "certificate", "revocation list"].includes(what)
  );
}

interface Context {
  readonly address: string;
  readonly listen: string;
  readonly turnedAway: string | undefined;
}

function downOf({ name, role, lastFault }: PeerStatus, { address, listen, turnedAway }: Context): Finding {
  const down = { who: name, what: "connection", grade: "fail", value: "down" } as const;
  if (lastFault !== undefined) {
    const { code, text } = lastFault;
    const [what, remedy] = REMEDIES[code as LinkCode] ?? OTHERWISE;
    return { ...down, what, code, text: `${text}: ${remedy.replace("ADDRESS", address)}` };
  }
  if (role === "dialler") {
    return { ...down, text: `no answer from ${address} yet: is its node running, and the way open?` };
  }
  // The one who is dialled sees nothing, or strangers.
  const refused = turnedAway === undefined
    ? ""
    : `; the last connection that was refused here: ${turnedAway}`;
  return {
    ...down,
    text: `it has not connected to ${listen}, which is for it to do as its index is lower: ` +
      `is its node running, and the way open?${refused}`,
  };
}

function linkOf(peer: PeerStatus, now: number): Finding[] {
  const { name: who, upForMs = 0, version, suite, rttMs, clockOffsetMs, certificate } = peer;
  const ok = (what: Aspect, value: string, text: string): Finding => ({
    who,
    what,
    grade: "ok",
    value,
    text,
  });
  return [
    ok("connection", "up", `up for ${(upForMs / 1000).toFixed(1)} s`),
    ok("pin", "ok", "its certificate's key is one of those in the configuration"),
    ok("identity", "ok", "it has the identity key that the configuration names"),
    ok("version", `${version}`, `protocol version ${version}, cipher suite ${suite}`),
    rosterOf(peer),
    ...(clockOffsetMs === undefined ? [] : [clockOf(who, clockOffsetMs)]),
    ...(rttMs === undefined ? [] : [roundTripOf(who, rttMs)]),
    ...(certificate === undefined
      ? []
      : [endOf(who, new Date(certificate.notAfter), now, `run cert renew for ${who}`)]),
  ];
}

function rosterOf({ name, otherRosterHash }: PeerStatus): Finding {
  const finding = { who: name, what: "roster" } as const;
  return otherRosterHash === undefined
    ? { ...finding, grade: "ok", value: "same", text: "it has the same parties and identity keys" }
    : {
      ...finding,
      grade: "fail",
      value: "other",
      text: "it has other parties, another order or other identity keys: compare the configuration files",
    };
}

function clockOf(who: string, offsetMs: number): Finding {
  const off = Math.abs(offsetMs);
  const { clockWarnMs, clockFailMs } = DOCTOR_LIMITS;
  const grade = off > clockFailMs ? "fail" : off > clockWarnMs ? "warn" : "ok";
  const said = `its clock is ${Math.round(off)} ms ${offsetMs >= 0 ? "ahead" : "behind"}`;
  const value = `${offsetMs >= 0 ? "+" : "-"}${Math.round(off)} ms`;
  const text = grade === "ok" ? said : `${said}: check the time service of both`;
  return { who, what: "clock", grade, value, text };
}

function roundTripOf(who: string, rttMs: number): Finding {
  const isSlow = rttMs > DOCTOR_LIMITS.roundTripWarnMs;
  const value = `${rttMs.toFixed(1)} ms`;
  const text = isSlow ? `${value}: each round of a session takes that long, so raise timeout_seconds` : value;
  return { who, what: "round trip", grade: isSlow ? "warn" : "ok", value, text };
}

function endOf(who: string, end: Date, now: number, remedy: string): Finding {
  return { who, what: "certificate", ...ending(end, now, DOCTOR_LIMITS.certificateDays, remedy) };
}

function listOf(who: string, end: Date, now: number): Finding {
  const remedy = "nobody is let in after that, so run cert revoke --refresh";
  return { who, what: "revocation list", ...ending(end, now, DOCTOR_LIMITS.listDays, remedy) };
}

function ending(
  end: Date,
  now: number,
  limits: { readonly warn: number; readonly fail: number },
  remedy: string,
): Pick<Finding, "grade" | "value" | "text"> {
  const days = daysUntil(end, now);
  const grade = days < limits.fail ? "fail" : days < limits.warn ? "warn" : "ok";
  const value = `${days} days`;
  return { grade, value, text: grade === "ok" ? `${value} left` : `${value} left: ${remedy}` };
}

const UNREACHED = "is its node running at ADDRESS, and the way to it open?";
const STRANGE = "is what listens at ADDRESS its node?";
const REFUSED_US = "its log says why";
const RENEW = "its certificate is to be made anew with cert renew";
const OTHERWISE: readonly [Aspect, string] = ["connection", "its log may say more"];

/** Which aspect a reason class is of, and what to do. */
const REMEDIES: Partial<Record<LinkCode, readonly [Aspect, string]>> = {
  DIAL_FAILED: ["connection", UNREACHED],
  DEADLINE_TCP: ["connection", UNREACHED],
  GAVE_UP: ["connection", UNREACHED],
  TLS_FAILED: ["connection", `${STRANGE} Or it has refused this party's certificate: ${REFUSED_US}`],
  DEADLINE_TLS: ["connection", STRANGE],
  DEADLINE_HELLO: ["connection", STRANGE],
  DEADLINE_UP: ["connection", "it is overloaded, or the way to it is slow"],
  CLOSED: ["connection", REFUSED_US],
  DUPLICATE_PARTY: [
    "connection",
    "two processes use the identity of one party: stop one, and find out whose it is",
  ],
  CERT_MISSING: ["certificate", STRANGE],
  CERT_MALFORMED: ["certificate", STRANGE],
  CERT_UNKNOWN_CA: ["certificate", `both need the same authorities, or ${RENEW}`],
  CERT_REFUSED: ["certificate", `both need the same authorities, or ${RENEW}`],
  CERT_EXPIRED: ["certificate", RENEW],
  CERT_NOT_YET_VALID: ["certificate", "check the clocks of both and of the authority's host"],
  CERT_NOT_A_LEAF: ["certificate", RENEW],
  CERT_WEAK_KEY: ["certificate", RENEW],
  CERT_USAGE: ["certificate", RENEW],
  CERT_NAME: ["certificate", `it is of another cluster or party: ${RENEW}`],
  CERT_REVOKED: [
    "certificate",
    "it was shut out; if it is to come back, issue it a certificate with a new key",
  ],
  CRL_EXPIRED: ["revocation list", "run cert revoke --refresh, and give the file to all hosts"],
  PIN_MISMATCH: [
    "pin",
    "ask its operator: if it was renewed, add the new pin to tls_pin on all hosts; if not, somebody else has the authority's key",
  ],
  PEER_IDENTITY_MISMATCH: [
    "pin",
    "addresses in the configuration are exchanged, or connections are led astray",
  ],
  HELLO_SIGNATURE: ["identity", "ask its operator: another has its TLS key, or its identity key was changed"],
  HELLO_CLUSTER: ["roster", "compare the configuration files"],
  HELLO_VERSION: ["version", "update the older one"],
  HELLO_SUITE: ["version", "update the older one"],
};
