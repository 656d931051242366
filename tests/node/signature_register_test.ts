import { deepEqual, equal } from "node:assert/strict";
import type { Bytes } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import {
  type MadeSignature,
  type RegisterEvent,
  registerLine,
  signatureKey,
  SignatureRegister,
  type SignatureRegisterOptions,
} from "../../src/node/signature_register.ts";
import type { Coordination } from "../../src/storage/coordination.ts";
import { SqliteStore } from "../../src/storage/sqlite_stores.ts";

const PLACE = { keyId: new Uint8Array(32).fill(1), txId: "pay-1" };
const KEY = signatureKey("demo", PLACE);

function signature(byte: number): Bytes {
  return new Uint8Array(64).fill(byte);
}

/** Signatures begin with a byte below 100. */
function made(byte: number): MadeSignature {
  const verifies = (bytes: Bytes) => bytes.length === 64 && (bytes[0] as number) < 100;
  return { ...PLACE, signature: signature(byte), verifies };
}

class Place implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly store: SqliteStore;
  readonly events: RegisterEvent[] = [];

  constructor() {
    Deno.chmodSync(this.#directory, 0o700);
    this.store = SqliteStore.open({ path: `${this.#directory}/shared.sqlite` });
  }

  register(
    change: Partial<Pick<Coordination, "get" | "create" | "swap">> = {},
    more: Partial<SignatureRegisterOptions> = {},
  ): SignatureRegister {
    const { store } = this;
    const coordination = {
      get: store.get.bind(store),
      create: store.create.bind(store),
      swap: store.swap.bind(store),
      ...change,
    };
    const retryMs = { first: 1, max: 1 };
    return new SignatureRegister({
      coordination,
      cluster: "demo",
      retryMs,
      ...more,
      on: (event) => this.events.push(event),
    });
  }

  async held(): Promise<Bytes | undefined> {
    return (await this.store.get(KEY))?.value;
  }

  /** Runs until nothing waits. */
  async drain(register: SignatureRegister): Promise<void> {
    const stop = new AbortController();
    const running = register.run(stop.signal);
    while (register.waiting > 0) await tick();
    stop.abort();
    await running;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

async function tick(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
}

function down(): never {
  throw new TransportError("STORE_UNAVAILABLE", "etcd is down", { parties: [] });
}

Deno.test("SignatureRegister.choose() has everybody answer with the signature that was there first", async () => {
  using place = new Place();
  deepEqual(await place.register().choose(made(1)), signature(1));
  deepEqual(await place.register().choose(made(2)), signature(1));
  deepEqual(await place.held(), signature(1));
  deepEqual(place.events, []);
  const other = await place.register().choose({ ...made(3), txId: "pay-2" });
  deepEqual(other, signature(3), "each transaction has its own");
  deepEqual(
    await place.register().choose({ ...made(4), keyId: new Uint8Array(32) }),
    signature(4),
    "each key too",
  );
});

Deno.test("SignatureRegister.choose() believes no bytes that are no signature, and replaces them", async () => {
  using place = new Place();
  for (const bytes of [signature(200), new Uint8Array(), new Uint8Array(63).fill(1)]) {
    const entry = await place.store.get(KEY);
    if (entry === undefined) await place.store.create(KEY, bytes);
    else await place.store.swap(KEY, entry.version, bytes);
    deepEqual(await place.register().choose(made(1)), signature(1));
    deepEqual(await place.held(), signature(1));
  }
  deepEqual(place.events.map(({ kind }) => kind), ["invalid", "invalid", "invalid"]);
});

Deno.test("SignatureRegister.choose() gives up where somebody overwrites the key again and again", async () => {
  using place = new Place();
  await place.store.create(KEY, signature(200));
  const register = place.register({
    swap: async (key, version) => await place.store.swap(key, version, signature(201)),
  });
  deepEqual(await register.choose(made(1)), signature(1));
  deepEqual(place.events.map(({ kind }) => kind), ["invalid", "invalid", "invalid", "gave-up"]);
});

Deno.test("SignatureRegister.choose() does not wait for a store that is down or slow, which gets the signature later", async () => {
  for (const create of [down, () => new Promise<never>(() => {})]) {
    using place = new Place();
    let isDown = true;
    const register = place.register({
      create: async (...args) => isDown ? await create() : await place.store.create(...args),
    }, { waitMs: 5 });
    deepEqual(await register.choose(made(1)), signature(1));
    equal(register.waiting, 1);
    isDown = false;
    await place.drain(register);
    deepEqual(await place.held(), signature(1));
    deepEqual(place.events.map(({ kind }) => kind), create === down ? ["waiting"] : []);
  }
});

Deno.test("SignatureRegister.choose() reads what is there when an answer was lost", async () => {
  using place = new Place();
  const lost = { ok: false, reason: "unknown" } as const;
  const register = place.register({
    create: async (key) => {
      await place.store.create(key, signature(7));
      return lost;
    },
  });
  deepEqual(await register.choose(made(1)), signature(7));
  using empty = new Place();
  const nothing = empty.register({ create: () => Promise.resolve(lost) });
  deepEqual(await nothing.choose(made(1)), signature(1));
  equal(nothing.waiting, 1);
  deepEqual(empty.events.map(({ kind }) => kind), ["waiting"]);
});

Deno.test("SignatureRegister.run() tries again while the store is down, and says that the store has another signature", async () => {
  using place = new Place();
  await place.store.create(KEY, signature(2));
  let failures = 3;
  const register = place.register({
    create: async (...args) => failures-- > 0 ? down() : await place.store.create(...args),
  });
  register.add(made(1));
  await place.drain(register);
  deepEqual(place.events.map(({ kind }) => kind), ["waiting", "waiting", "waiting", "other"]);
  deepEqual(await place.held(), signature(2));
});

Deno.test("registerLine() names the transaction", () => {
  for (const kind of ["other", "invalid", "gave-up"] as const) {
    const { level, text } = registerLine({ kind, txId: "pay-1" });
    deepEqual([level, text.includes("pay-1")], [kind === "gave-up" ? "error" : "warn", true]);
  }
  const { text } = registerLine({ kind: "waiting", txId: "pay-1", reason: "etcd is down" });
  equal(text, "the signature of pay-1 waits for the store of coordination: etcd is down");
});
