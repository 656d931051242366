/**
 * The file that a log's records are added to.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { FILE_MODE, syncDirectory } from "../storage/files.ts";
import { segmentPath } from "./segments.ts";

/** The file that records are added to. It is opened when the first one is. */
export class OpenSegment {
  readonly #directory: string;
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  /** Bytes of whole records that are on disk. */
  length: number;

  /**
   * Opens nothing yet.
   *
   * @param first index of its first record.
   * @param length bytes of whole records that are there.
   */
  constructor(directory: string, first: number, length: number) {
    this.#directory = directory;
    this.#path = segmentPath(directory, first);
    this.length = length;
  }

  /** Appends and makes it survive a crash; whatever fails, the next call begins where this one did. */
  append(content: Bytes): void {
    try {
      this.#file ??= this.#open();
      for (let at = 0; at < content.length;) at += this.#file.writeSync(content.subarray(at));
      this.#file.syncDataSync();
    } catch (error) {
      // After a failed fsync the system may take lost pages for written ones: the file is cut and written again.
      this.close();
      throw error;
    }
    this.length += content.length;
  }

  /** Ends writing; the next record opens the file again. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): Deno.FsFile {
    const file = Deno.openSync(this.#path, { write: true, create: true, mode: FILE_MODE });
    try {
      file.truncateSync(this.length);
      file.seekSync(this.length, Deno.SeekMode.Start);
      file.syncSync();
      syncDirectory(this.#directory);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }
}
