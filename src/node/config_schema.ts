/**
 * What keys a configuration has, read from its schema: for messages, for overrides from the environment, and for the reference.
 *
 * @module
 */

import { z } from "zod";

/** One key. */
export interface ConfigKey {
  /** Sections and name; the keys of a list of tables follow the list's name. */
  readonly path: readonly string[];
  /** What its value is. */
  readonly type: "text" | "number" | "boolean" | "list";
  /** Whether it has to be there where its table is. */
  readonly required: boolean;
  /** Of a number. */
  readonly range?: { readonly min: number; readonly max: number };
}

/** Every key below a table, in order. */
export function keysOf(table: z.ZodType, path: readonly string[] = []): ConfigKey[] {
  return Object.entries(shapeOf(table)).flatMap(([name, schema]) => {
    const inner = unwrapped(schema);
    const here = [...path, name];
    if (inner instanceof z.ZodObject) return keysOf(inner, here);
    if (inner instanceof z.ZodArray && unwrapped(inner.element as z.ZodType) instanceof z.ZodObject) {
      return keysOf(inner.element as z.ZodType, here);
    }
    const range = inner instanceof z.ZodNumber
      ? { min: inner.minValue ?? 0, max: inner.maxValue ?? 0 }
      : null;
    return [{
      path: here,
      type: TYPES[inner.type] ?? "text",
      required: schema === inner,
      ...(range === null ? {} : { range }),
    }];
  });
}

/** Names in the table at a place, which may go through lists. */
export function namesAt(table: z.ZodType, path: readonly PropertyKey[]): string[] {
  const at = path.reduce<z.ZodType>((schema, key) => {
    const inner = unwrapped(schema);
    return inner instanceof z.ZodArray
      ? inner.element as z.ZodType
      : shapeOf(inner)[String(key)] as z.ZodType;
  }, table);
  return Object.keys(shapeOf(at));
}

const TYPES: Readonly<Record<string, ConfigKey["type"]>> = {
  number: "number",
  boolean: "boolean",
  array: "list",
};

/** What is inside of what may be missing or has a default. */
function unwrapped(schema: z.ZodType): z.ZodType {
  if (!(schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)) return schema;
  return unwrapped(schema.unwrap() as z.ZodType);
}

function shapeOf(table: z.ZodType): Readonly<Record<string, z.ZodType>> {
  const inner = unwrapped(table);
  return inner instanceof z.ZodObject ? inner.shape : {};
}
