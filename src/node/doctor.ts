/**
 * What is wrong with a party's surroundings, graded: its own certificate, the authority, the revocation list, and each peer.
 *
 * @module
 */

import { certificatesIn, daysUntil, describeCertificate } from "../pki/inspect.ts";
import type { PeerStatus } from "../transport/mesh.ts";
import type { Config, PartyConfig } from "./config.ts";
import { readPublicText } from "./local_party.ts";

/** How bad it is. */
export type Grade = "ok" | "warn" | "fail";

/** One thing that was looked at. */
export interface Finding {
  /** Name of the party, or `authority`. */
  readonly who: string;
  /** What was looked at. */
  readonly what: "link" | "roster" | "clock" | "round trip" | "certificate";
  /** How bad it is. */
  readonly grade: Grade;
  /** What was found; where it is bad, what to do. */
  readonly text: string;
}

/** From where on a figure is bad. */
export const DOCTOR_LIMITS = {
  clockWarnMs: 200,
  clockFailMs: 30_000,
  roundTripWarnMs: 500,
  daysWarn: 14,
  daysFail: 3,
} as const;

/** Grades the links of a party. */
export function examinePeers(peers: readonly PeerStatus[]): Finding[] {
  return peers.flatMap((peer) => {
    if (peer.state === "down") return [linkDown(peer)];
    const { name, version, upForMs = 0, rttMs, clockOffsetMs, otherRosterHash } = peer;
    const link: Finding = {
      who: name,
      what: "link",
      grade: "ok",
      text: `up for ${(upForMs / 1000).toFixed(1)} s, protocol version ${version}`,
    };
    return [
      link,
      rosterOf(name, otherRosterHash),
      ...(clockOffsetMs === undefined ? [] : [clockOf(name, clockOffsetMs)]),
      ...(rttMs === undefined ? [] : [roundTripOf(name, rttMs)]),
    ];
  });
}

/** Grades the certificates of a party's configuration that end by themselves. */
export function examineCertificates(config: Config, party: PartyConfig, now: number): Finding[] {
  const own = describeCertificate(
    readPublicText(party.certPath, `the certificate of ${party.name}`),
    party.certPath,
  );
  const authorities = certificatesIn(readPublicText(config.authorityPath, "the authority's certificate"))
    .map((pem) => describeCertificate(pem, config.authorityPath));
  return [
    ending(party.name, own.notAfter, now, "run cert renew"),
    ...authorities.map(({ notAfter }) => ending("authority", notAfter, now, "run cert rotate-ca")),
  ];
}

/** The worst of all grades. */
export function worstOf(findings: readonly Finding[]): Grade {
  const grades: readonly Grade[] = ["fail", "warn"];
  return grades.find((grade) => findings.some((finding) => finding.grade === grade)) ?? "ok";
}

function linkDown({ name, role, lastFault }: PeerStatus): Finding {
  const why = lastFault === undefined
    ? role === "dialler" ? "no answer yet" : "it has not called yet: the party with the lower index dials"
    : `${lastFault.code}: ${lastFault.text}`;
  return { who: name, what: "link", grade: "fail", text: `down: ${why}` };
}

function rosterOf(who: string, other: PeerStatus["otherRosterHash"]): Finding {
  const differs = other !== undefined;
  return {
    who,
    what: "roster",
    grade: differs ? "fail" : "ok",
    text: differs
      ? "it has another list of parties, or other identity keys: compare the configuration files"
      : "the same parties and identity keys",
  };
}

function clockOf(who: string, offsetMs: number): Finding {
  const off = Math.abs(offsetMs);
  const { clockWarnMs, clockFailMs } = DOCTOR_LIMITS;
  const grade = off > clockFailMs ? "fail" : off > clockWarnMs ? "warn" : "ok";
  const said = `its clock is ${Math.round(off)} ms ${offsetMs >= 0 ? "ahead" : "behind"}`;
  return {
    who,
    what: "clock",
    grade,
    text: grade === "ok" ? said : `${said}: check the time service of both`,
  };
}

function roundTripOf(who: string, rttMs: number): Finding {
  const slow = rttMs > DOCTOR_LIMITS.roundTripWarnMs;
  const said = `${rttMs.toFixed(1)} ms`;
  return {
    who,
    what: "round trip",
    grade: slow ? "warn" : "ok",
    text: slow ? `${said}: raise --timeout` : said,
  };
}

function ending(who: string, notAfter: Date, now: number, remedy: string): Finding {
  const days = daysUntil(notAfter, now);
  const { daysWarn, daysFail } = DOCTOR_LIMITS;
  const grade = days < daysFail ? "fail" : days < daysWarn ? "warn" : "ok";
  const said = `${days} days left`;
  return { who, what: "certificate", grade, text: grade === "ok" ? said : `${said}: ${remedy}` };
}
