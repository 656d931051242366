import type { VoteRecord, VoteStore } from "../../src/voting/store.ts";

/** A store in memory, and the moment at which its node dies. */
export class MemoryVoteStore implements VoteStore {
  readonly records: VoteRecord[] = [];
  /** After so many more commits the process ends: before the write, or just after it. */
  dies: { commits: number; readonly after: boolean } | undefined;

  load(): Iterable<VoteRecord> {
    return [...this.records];
  }

  commit(records: readonly VoteRecord[]): void {
    const now = this.dies !== undefined && --this.dies.commits < 0;
    if (now && this.dies?.after !== true) throw new Died();
    this.records.push(...records);
    if (now) throw new Died();
  }
}

/** The process of a node has ended. */
export class Died extends Error {}
