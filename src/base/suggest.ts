/**
 * What somebody meant who misspelt a name.
 *
 * @module
 */

/** The names that are closest to a misspelt one, if any is close: at most a third of its letters differ. */
export function closest(word: string, names: readonly string[]): string[] {
  const near = names.map((name) => ({ name, far: distance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, far }) => far <= Math.max(1, Math.floor(Math.max(word.length, name.length) / 3)));
  const least = Math.min(...near.map(({ far }) => far));
  return near.filter(({ far }) => far === least).map(({ name }) => name);
}

/** ` (did you mean carol?)`, or nothing where no name is close. */
export function didYouMean(word: string, names: readonly string[]): string {
  const found = closest(word, names);
  return found.length === 0 ? "" : ` (did you mean ${found.join(" or ")}?)`;
}

/**
 * How many letters are inserted, left out, replaced or swapped with their neighbour.
 *
 * @source Damerau, "A technique for computer detection and correction of spelling errors", 1964, in the restricted form.
 */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const at = (y: number, x: number) => (y === i ? row[x] : rows[y]?.[x]) as number;
      const change = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(i - 2, j - 2) + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] as number;
}
