/**
 * Lies that a protocol's own words make possible: a message that is well-formed and false. The lies that fit every protocol are
 * in adversary.ts.
 */

import type { PartyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import type {
  Definition,
  ExchangeStep,
  Outbox,
  Protocol,
  Session,
  Step,
} from "../../src/protocols/protocol.ts";
import type { Place } from "./adversary.ts";

/** All of them; which protocol knows which, its scenario says. */
export const LIE_NAMES = [
  "wrong-dealing",
  "nonzero-constant",
  "longer-dealing",
  "wrong-commitment",
  "wrong-proof",
  "wrong-signature",
  "wrong-certificate",
  "wrong-key",
  "wrong-share",
  "wrong-part",
  "wrong-sum",
  "stale-epoch",
  "offer-stale",
  "offer-ahead",
  "offer-beyond",
  "offer-certified",
  "offer-forged",
  "offer-other-key",
] as const;
export type LieName = typeof LIE_NAMES[number];
export type Lies = Readonly<Partial<Record<LieName, Lie>>>;

/** How a lie must end; `any`: with nothing that no lie may lead to. */
export type Ending = "culprit" | "fail" | "finish" | "any";

/** What the liar knows. */
export interface Telling {
  readonly corrupt: PartyId;
  /** The one that is lied to, where it is one. */
  readonly target: PartyId;
  /** That a lie was told. */
  note(): void;
}

/** One lie. */
export interface Lie {
  readonly place: Place;
  readonly ends: Ending;
  wrap<I, O>(definition: Definition<I, O>, telling: Telling): Definition<I, O>;
}

/** Says something else to all in the place of a broadcast. */
export function says<T>(round: number, ends: Ending, change: (value: T) => T | undefined): Lie {
  return telling({ kind: "broadcast", round }, ends, (outbox, { note }) => {
    const value = outbox.broadcast === undefined ? undefined : change(outbox.broadcast as T);
    if (value === undefined) return outbox;
    note();
    return { ...outbox, broadcast: value };
  });
}

/** Says something else to one, or to each, in the place of a direct message. */
export function tells<T>(
  round: number,
  ends: Ending,
  to: "target" | "all",
  change: (value: T) => T | undefined,
): Lie {
  return telling({ kind: "direct", round }, ends, (outbox, { note, target }) => {
    if (outbox.direct === undefined) return outbox;
    const direct = new Map([...outbox.direct].map(([party, value]) => {
      const other = to === "all" || party === target ? change(value as T) : undefined;
      if (other !== undefined) note();
      return [party, other ?? value];
    }));
    return { ...outbox, direct };
  });
}

/** Computes its first step otherwise, and stays consistent with it from there on. */
export function computes<T>(
  place: Place,
  ends: Ending,
  change: (result: T, session: Session) => T | undefined,
): Lie {
  return {
    place,
    ends,
    wrap: (definition, { note }) => ({
      ...definition,
      run: (session, input) => {
        let isFirst = true;
        return altered(definition.run(session, input), same, (step, answer) => {
          if (step.kind !== "compute" || !isFirst) return answer;
          isFirst = false;
          const other = change(answer as T, session);
          if (other === undefined) return answer;
          note();
          return other;
        });
      },
    }),
  };
}

/** Runs honestly, with an input that is not what it should have. */
export function holds<T>(ends: Ending, change: (input: T) => T | undefined, place = OPEN): Lie {
  const alter = <I>(input: I): I => (change(input as never) as I | undefined) ?? input;
  return {
    place,
    ends,
    wrap: ({ offer, unsettled, ...rest }, { note }) => ({
      ...rest,
      ...(offer === undefined ? {} : { offer: (input) => offer(alter(input)) }),
      ...(unsettled === undefined
        ? {}
        : { unsettled: (input, self, offers) => unsettled(alter(input), self, offers) }),
      proposal: (input) => {
        if (change(input as never) !== undefined) note();
        return rest.proposal(alter(input));
      },
      rounds: (input) => rest.rounds(alter(input)),
      run: (session, input) => rest.run(session, alter(input)),
    }),
  };
}

/** Says in round 0 that it has something else than it has. */
export function offers<T>(ends: Ending, change: (input: T) => Bytes | undefined): Lie {
  return {
    place: OPEN,
    ends,
    wrap: (definition, { note }) => ({
      ...definition,
      offer: (input) => {
        const other = change(input as never);
        if (other !== undefined) note();
        return other ?? definition.offer?.(input) as Bytes;
      },
    }),
  };
}

function telling(
  place: Place,
  ends: Ending,
  change: (outbox: Outbox<unknown, unknown>, telling: Telling) => Outbox<unknown, unknown>,
): Lie {
  return {
    place,
    ends,
    wrap: (definition, telling) => ({
      ...definition,
      run: (session, input) =>
        altered(
          definition.run(session, input),
          (step) =>
            step.kind === "exchange" && step.round.number === place.round
              ? { ...step, outbox: change(step.outbox, telling) } as ExchangeStep
              : step,
          (_step, answer) => answer,
        ),
    }),
  };
}

/** The same protocol with other steps, and other answers to them. */
export function* altered<O>(
  inner: Protocol<O>,
  stepOf: (step: Step) => Step,
  answerOf: (step: Step, answer: unknown) => unknown,
): Protocol<O> {
  try {
    let next = inner.next();
    while (!next.done) {
      const step = next.value;
      next = inner.next(answerOf(step, yield stepOf(step)));
    }
    return next.value;
  } finally {
    inner.return(undefined as never);
  }
}

function same<T>(value: T): T {
  return value;
}

const OPEN: Place = { kind: "open", round: 0 };
