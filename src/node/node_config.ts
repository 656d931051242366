/**
 * Where a node that runs is asked and watched: the sections `[node]` and `[telemetry]` of the configuration.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { z } from "zod";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../telemetry/log.ts";
import { type Address, address, choice, parseAddress, path } from "./config_values.ts";

/** The listeners of a node, and who may use them. */
export interface NodeConfig {
  /** Where operators ask. */
  readonly operatorListen: Address;
  /** The certificate by which this host's operator is known. */
  readonly operatorCertPath: string;
  /** Its private key. */
  readonly operatorKeyPath: string;
  /** Where metrics and health are shown. */
  readonly telemetryListen: Address;
  /** Form of log lines. */
  readonly logFormat: LogFormat;
  /** What is logged at least. */
  readonly logLevel: LogLevel;
}

/** Keys of `[node]`. */
export const NODE_SHAPE = {
  operator_listen: address().optional(),
  operator_cert_path: path("an operator's certificate").optional(),
  operator_key_path: path("its private key").optional(),
};

/** Keys of `[telemetry]`. */
export const TELEMETRY_SHAPE = {
  listen: address().optional(),
  log_format: choice(LOG_FORMATS).optional(),
  log_level: choice(LOG_LEVELS).optional(),
};

/** The sections' values. */
export interface NodeSections {
  /** `[node]`. */
  readonly node: z.infer<z.ZodObject<typeof NODE_SHAPE>>;
  /** `[telemetry]`. */
  readonly telemetry: z.infer<z.ZodObject<typeof TELEMETRY_SHAPE>>;
}

/**
 * The listeners of one party. By default they are on loopback, so many ports above the one for its peers that several parties can
 * run on one machine.
 *
 * @param listen where the party listens for its peers.
 * @param authorityPath the operators' certificates are beside it by default.
 * @param at makes a path absolute.
 */
export function nodeOf(
  { node, telemetry }: NodeSections,
  listen: Address,
  authorityPath: string,
  at: (path: string) => string,
): NodeConfig {
  const beside = (file: string) => join(dirname(authorityPath), OPERATOR_DIRECTORY, file);
  const given = (text: string | undefined, offset: number): Address =>
    text === undefined ? loopback(listen.port, offset) : parseAddress(text) as Address;
  return {
    operatorListen: given(node.operator_listen, OPERATOR_PORT_OFFSET),
    operatorCertPath: node.operator_cert_path === undefined
      ? beside("cert.pem")
      : at(node.operator_cert_path),
    operatorKeyPath: node.operator_key_path === undefined ? beside("key.pem") : at(node.operator_key_path),
    telemetryListen: given(telemetry.listen, TELEMETRY_PORT_OFFSET),
    logFormat: telemetry.log_format ?? "json",
    logLevel: telemetry.log_level ?? "info",
  };
}

/** Where `init` puts the certificate of the cluster's first operator; no party has this name. */
export const OPERATOR_DIRECTORY = "operator";

/** As many as a cluster may have parties, and some. */
const OPERATOR_PORT_OFFSET = 100;
const TELEMETRY_PORT_OFFSET = 200;

function loopback(port: number, offset: number): Address {
  return { host: "127.0.0.1", port: port + offset > 65535 ? port - offset : port + offset };
}
