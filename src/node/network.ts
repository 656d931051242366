/**
 * The links of a party and the sessions over them: made when the first session needs them, and shared by everything that the party
 * is asked for.
 *
 * @module
 */

import { systemRng } from "../base/rng.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionEvent } from "../session/context.ts";
import { type RunningSession, SessionHost, type StartOptions } from "../session/host.ts";
import { Mesh, type MeshEvent, type MeshMaterial, type MeshOptions } from "../transport/mesh.ts";
import type { TransportLimits } from "../transport/limits.ts";
import { Switchboard } from "../transport/switchboard.ts";
import { readMaterial } from "./certificates.ts";
import { systemClock } from "./clock.ts";
import { formatAddress } from "./config.ts";
import { withFiles } from "./explain.ts";
import { KeyTurn } from "./key_turns.ts";
import type { LocalOptions, LocalParty } from "./local_party.ts";
import { PairStates } from "./pair_states.ts";

/** How the links of a party are made. */
export interface NetworkOptions extends LocalOptions {
  /** Called for what happens to links. */
  readonly log?: (event: MeshEvent) => void;
  /** Replaces limits of the configuration. */
  readonly transport?: Partial<TransportLimits>;
  /**
   * `daemon`: several things may be done at once, so that a peer that wants something else is not refused. Default: `command`.
   */
  readonly mode?: "command" | "daemon";
  /** Called at every transition of every session, whoever started it. @param session which one of this process, from 1. */
  readonly onSession?: (
    event: SessionEvent,
    session: number,
    purpose: { readonly command: string; readonly key: string | undefined },
  ) => void;
}

/** Links and sessions that are there. */
export interface Network {
  /** The links. */
  readonly mesh: Mesh;
  /** The sessions. */
  readonly host: SessionHost;
  /** The links for other users than sessions. */
  readonly board: Switchboard;
  /** Why the last stranger was refused. */
  readonly turnedAway: () => string | undefined;
}

/** The network of one party. */
export class PartyNetwork {
  /** Pair states, as all sessions see them. */
  readonly pairs: PairStates;
  readonly #local: LocalParty;
  readonly #options: NetworkOptions;
  readonly #settling = new Set<Promise<unknown>>();
  #current: Network | undefined;
  /** Sessions that start at once share one network. */
  #connecting: Promise<Network> | undefined;
  /** What took the place of the configured files. */
  #material: MeshMaterial | undefined;
  #started = 0;

  /** Connects to nobody yet. */
  constructor(local: LocalParty, options: NetworkOptions) {
    this.pairs = new PairStates(local.store);
    this.#local = local;
    this.#options = options;
  }

  /** Undefined before somebody needed it. */
  get current(): Network | undefined {
    return this.#current;
  }

  /** Makes the links, once. */
  async connect(): Promise<Network> {
    this.#connecting ??= connect(this.#local, this.pairs, this.#options, this.#material);
    return this.#current ??= await this.#connecting;
  }

  /** Starts a session over links that are there. @param options gets which session of this process it is, from 1. */
  start<I, O>(
    { host }: Network,
    definition: Definition<I, O>,
    input: I,
    options: (session: number) => StartOptions,
  ): RunningSession<O> {
    const number = ++this.#started;
    const given = options(number);
    const { command = this.#options.command, turn } = given;
    const purpose = { command, key: turn instanceof KeyTurn ? turn.key : undefined };
    const session = host.start(definition, input, {
      ...given,
      onEvent: (event) => {
        this.#options.onSession?.(event, number, purpose);
        given.onEvent?.(event);
      },
    });
    const settling = session.settled.finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
    return session;
  }

  /** Uses other certificates, authorities, revocation lists and pins from now on. @throws UsageError IDENTITY_INVALID */
  async reload(material: MeshMaterial): Promise<void> {
    // A mesh that is being made takes it when it is there; one that is made later begins with it.
    const network = this.#current ?? await this.#connecting?.catch(() => undefined);
    network?.mesh.reload(material);
    this.#material = material;
  }

  /** Ends all sessions, here and at the peers. */
  stop(): void {
    this.#current?.host.stop();
  }

  /** Waits until no session needs anything any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#settling);
  }

  /** Ends all links, after what was sent has left, and erases what was in memory. */
  async close(): Promise<void> {
    await this.#current?.mesh.close();
    this.pairs[Symbol.dispose]();
  }
}

async function connect(
  local: LocalParty,
  pairs: PairStates,
  options: NetworkOptions,
  material: MeshMaterial | undefined,
): Promise<Network> {
  const { config, party } = local;
  const identity = local.identity();
  const rng = options.rng ?? systemRng;
  const { audit } = local;
  let turnedAway: string | undefined;
  const mesh = meshOf(local, {
    roster: config.roster,
    self: party.index,
    listen: formatAddress(party.listen),
    addressOf: (peer) => {
      const address = config.parties[peer - 1]?.address;
      return address === undefined ? undefined : formatAddress(address);
    },
    ...(material ?? readMaterial(config, party)),
    identity,
    rng,
    bootId: local.bootId,
    limits: { ...config.transport, ...options.transport },
    log: (event) => {
      if (event.peer === undefined && event.direction === "in") turnedAway = event.text;
      audit.link(event);
      options.log?.(event);
    },
  });
  const board = new Switchboard(audit.recorded(mesh), (error) => mesh.receiverFailed(error));
  const host = new SessionHost({
    roster: config.roster,
    self: party.index,
    identity,
    links: board.rest,
    clock: systemClock,
    rng,
    journal: pairs,
    timeoutMs: local.timeoutMs,
    command: options.command,
    mode: options.mode ?? "command",
    onEvent: (event) => audit.session(event),
  });
  await mesh.start();
  return { mesh, host, board, turnedAway: () => turnedAway };
}

function meshOf({ config, party }: LocalParty, options: MeshOptions): Mesh {
  try {
    return new Mesh(options);
  } catch (error) {
    const lists = config.revocationListPath === undefined ? [] : [config.revocationListPath];
    throw withFiles(error, [party.certPath, party.keyPath, config.authorityPath, ...lists]);
  }
}
