/**
 * Structured log lines: one per event, in one of four forms, with a stable code and the fields that every node uses for the same
 * thing. What is logged is named field by field, so that no secret gets in by accident.
 *
 * @module
 */

/** How bad it is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** `plain` is for people, `json` for programs; `ecs` is Elastic's schema, `gelf` Graylog's. */
export type LogFormat = "plain" | "json" | "ecs" | "gelf";

/** What a line can say beside its message. */
export interface LogFields {
  /** Stable: a key of a table of codes. */
  readonly code?: string | undefined;
  /** Session id, shortened as everywhere. */
  readonly session?: string | undefined;
  /** Name of the protocol. */
  readonly protocol?: string | undefined;
  /** Number of the round. */
  readonly round?: number | undefined;
  /** Name of the party concerned. */
  readonly peer?: string | undefined;
  /** Of a link. */
  readonly dir?: "in" | "out" | undefined;
  /** Remote `host:port`. */
  readonly address?: string | undefined;
  /** Name of the key. */
  readonly key?: string | undefined;
  /** Its epoch. */
  readonly epoch?: number | undefined;
  /** Number of the operator's request. */
  readonly req?: string | undefined;
  /** Name of the operator. */
  readonly operator?: string | undefined;
  /** What was asked for. */
  readonly command?: string | undefined;
  /** Why. */
  readonly reason?: string | undefined;
  /** Who is waited for. */
  readonly waiting?: readonly string[] | undefined;
  /** How long it took. */
  readonly dur_ms?: number | undefined;
  /** How much it was. */
  readonly bytes?: number | undefined;
}

/** Who writes the lines. */
export interface LogSource {
  /** Name of the party. */
  readonly party: string;
  /** Name of the cluster. */
  readonly cluster: string;
}

/** How a log is set up. */
export interface LogOptions extends LogSource {
  /** Form of a line. */
  readonly format: LogFormat;
  /** Less than this is not written. */
  readonly level: LogLevel;
  /** Writes one line, which has no line end. */
  readonly write: (line: string) => void;
  /** Milliseconds since 1970. Default: the system's. */
  readonly now?: () => number;
}

/** All forms. */
export const LOG_FORMATS = ["plain", "json", "ecs", "gelf"] as const satisfies readonly LogFormat[];
/** All levels, ascending. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

/** Writes lines. */
export class Log {
  readonly #options: LogOptions;

  /** A log that has written nothing. */
  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Writes a line, unless its level is below what is wanted. A log that cannot be written ends nothing. */
  write(level: LogLevel, message: string, fields: LogFields = {}): void {
    const { format, level: least, write, now = Date.now } = this.#options;
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    try {
      write(FORMS[format](this.#options, { time: now(), level, message, fields }));
    } catch {
      // There is nowhere to say so.
    }
  }
}

interface Entry {
  readonly time: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

const FORMS: Readonly<Record<LogFormat, (source: LogSource, entry: Entry) => string>> = {
  plain: ({ party }, { time, level, message, fields }) => {
    const { code, ...others } = fields;
    const said = Object.entries(others).filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${plain(value)}`).join("");
    const what = code === undefined ? "" : `${code} `;
    return `${iso(time)} ${level.toUpperCase().padEnd(5)} ${party} ${what}${oneLine(message)}${said}`;
  },
  json: ({ party, cluster }, { time, level, message, fields }) =>
    JSON.stringify({ ts: iso(time), level, msg: message, party, cluster, ...fields }),
  // https://www.elastic.co/guide/en/ecs/current/ecs-field-reference.html
  ecs: ({ party, cluster }, { time, level, message, fields }) => {
    const { code, dur_ms, address, reason, ...others } = fields;
    return JSON.stringify({
      "@timestamp": iso(time),
      "ecs.version": "8.11.0",
      "log.level": level,
      message,
      "service.name": "quorate",
      "service.node.name": party,
      "event.code": code,
      "event.reason": reason,
      "event.duration": dur_ms === undefined ? undefined : Math.round(dur_ms * 1e6),
      "source.address": address,
      quorate: { party, cluster, ...others },
    });
  },
  // https://go2docs.graylog.org/current/getting_in_log_data/gelf.html: additional fields are texts and numbers.
  gelf: ({ party, cluster }, { time, level, message, fields }) => {
    const all = Object.entries({ cluster, ...fields })
      .map(([name, value]) => [`_${name}`, Array.isArray(value) ? value.join(",") : value]);
    const said = { short_message: message, timestamp: time / 1000, level: SYSLOG[level] };
    return JSON.stringify({ version: "1.1", host: party, ...said, ...Object.fromEntries(all) });
  },
};

/** RFC 5424, 6.2.1. */
const SYSLOG: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

function iso(time: number): string {
  return new Date(time).toISOString();
}

function plain(value: unknown): string {
  const text = Array.isArray(value) ? value.join(",") : String(value);
  return /^[\w.,:/-]+$/.test(text) ? text : JSON.stringify(text);
}

/** What a peer said could hold a line end, and look like a line of its own. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");
}
