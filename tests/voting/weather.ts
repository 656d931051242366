/** How bad it is. */
export interface Weather {
  readonly n: number;
  readonly quorum: number;
  /** Members that vote twice, and tell different members different things. They have the first places. */
  readonly equivocators: number;
  /** Whether the members change: one goes, and another one comes. */
  readonly changes: boolean;
  readonly transactions: number;
  /** Of 256 messages, so many are lost, and so many arrive twice. */
  readonly lost: number;
  readonly doubled: number;
  /** Of 256 steps, so many end with a crash. */
  readonly crashes: number;
  /** Steps before everything is repaired. */
  readonly steps: number;
  /** By how much clocks differ, in milliseconds. */
  readonly skewMs: number;
}

const STORM = { transactions: 2, lost: 40, doubled: 30, crashes: 30, steps: 80, skewMs: 600_000 } as const;

/** As many equivocators as each quorum is safe with, and none. */
export const WEATHERS: readonly Weather[] = [
  { n: 4, quorum: 3, equivocators: 1, changes: false, ...STORM },
  { n: 5, quorum: 4, equivocators: 2, changes: false, ...STORM },
  { n: 7, quorum: 5, equivocators: 2, changes: false, ...STORM },
  { n: 5, quorum: 4, equivocators: 0, changes: false, ...STORM },
  { n: 4, quorum: 3, equivocators: 1, changes: true, ...STORM },
  { n: 5, quorum: 4, equivocators: 2, changes: true, ...STORM },
  { n: 7, quorum: 5, equivocators: 2, changes: true, ...STORM },
  { n: 5, quorum: 4, equivocators: 0, changes: true, ...STORM },
];
