/**
 * Watches the files of certificates, and the configuration for its pins. They are looked at several times a second instead of
 * waiting for the system's events, which network file systems and mounted secrets do not give. A change counts once the files
 * have stayed as they are from one look to the next, because a certificate and its key are written one after the other.
 *
 * @module
 */

import { QuorateError } from "../base/errors.ts";
import { reasonOf } from "../storage/files.ts";
import { type CertificateMaterial, filesOf, loadCertificates, requireSameCluster } from "./certificates.ts";
import { type Config, partyConfig } from "./config.ts";

/** What {@linkcode CertificateWatch} needs. */
export interface CertificateWatchOptions {
  /** What is in use. */
  readonly config: Config;
  /** Name of the party. */
  readonly party: string;
  /** What is in use. */
  readonly current: CertificateMaterial;
  /** Reads the configuration again. */
  readonly readConfig: () => Config;
  /**
   * Puts to use what was read and is good: `Party.reloadCertificates`. May throw: then what is in use stays. `certificateEvents`
   * says what the audit log is to know of the change.
   */
  readonly changed: (material: CertificateMaterial, former: CertificateMaterial) => void | Promise<void>;
  /** Hears in one sentence why what was read is not put to use. */
  readonly refused: (sentence: string, error: unknown) => void;
  /** How often the files are looked at. Default 250. */
  readonly intervalMs?: number;
}

/** Watches until it is disposed. */
export class CertificateWatch implements Disposable {
  readonly #options: CertificateWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #current: CertificateMaterial;
  #config: Config;
  #seen: string;
  #isPending = false;
  /** One check after the other. */
  #checks: Promise<unknown> = Promise.resolve();

  /** Begins to watch. */
  constructor(options: CertificateWatchOptions) {
    this.#options = options;
    this.#current = options.current;
    this.#config = options.config;
    this.#seen = this.#look();
    this.#timer = setInterval(() => this.#tick(), options.intervalMs ?? INTERVAL_MS);
  }

  /** What is in use. */
  get current(): CertificateMaterial {
    return this.#current;
  }

  /** Reads the files now, for example upon SIGHUP. @returns whether something else is in use now. */
  check(): Promise<boolean> {
    const check = this.#checks.then(() => this.#check());
    this.#checks = check.catch(() => {});
    return check;
  }

  /** Stops. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const seen = this.#look();
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#isPending = true;
    } else if (this.#isPending) {
      this.#isPending = false;
      // Only a listener that throws fails here: that must not end the process.
      this.check().catch(() => {});
    }
  }

  async #check(): Promise<boolean> {
    const { readConfig, party: name, changed, refused } = this.#options;
    try {
      const config = readConfig();
      requireSameCluster(config, this.#config);
      const material = loadCertificates(config, partyConfig(config, name));
      this.#config = config;
      if (isSame(material, this.#current)) return false;
      await changed(material, this.#current);
      this.#current = material;
      return true;
    } catch (error) {
      const why = error instanceof QuorateError ? error.message : reasonOf(error);
      refused(`certificates were not read again, what is in use stays: ${why}`, error);
      return false;
    }
  }

  /** Which state the files are in. */
  #look(): string {
    const party = partyConfig(this.#config, this.#options.party);
    return [this.#config.path, ...filesOf(this.#config, party)].map((path) => {
      try {
        const { mtime, size, ino } = Deno.statSync(path);
        return `${mtime?.getTime()} ${size} ${ino}`;
      } catch {
        return "gone";
      }
    }).join("\n");
  }
}

function isSame(a: CertificateMaterial, b: CertificateMaterial): boolean {
  return textOf(a) === textOf(b);
}

function textOf({ tls, revocationListsPem, pins }: CertificateMaterial): string {
  const { certPem, keyPem, authoritiesPem } = tls;
  return JSON.stringify([certPem, keyPem, authoritiesPem, revocationListsPem, [...pins]]);
}

const INTERVAL_MS = 250;
