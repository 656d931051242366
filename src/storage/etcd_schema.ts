/**
 * The part of etcd's v3 interface that is used here, as protobuf descriptors: names, field numbers and types.
 *
 * @source the etcd v3 API reference: services KV, Watch and Lease
 * @module
 */

import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  EnumDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  OneofDescriptorProtoSchema,
  type ServiceDescriptorProto,
  ServiceDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { Bytes } from "../base/bytes.ts";

/** A stored key, as etcd sends it. */
export interface KeyValue {
  /** UTF-8 of the key. */
  readonly key: Bytes;
  /** Revision of the write that created the key. */
  readonly createRevision: bigint;
  /** Revision of the last write. */
  readonly modRevision: bigint;
  /** The value. */
  readonly value: Bytes;
}

/** Part of every answer. */
export interface Header {
  /** Revision of the store. */
  readonly revision: bigint;
}

/** An answer to a range. */
export interface RangeAnswer {
  /** See {@linkcode Header}. */
  readonly header: Header;
  /** Keys in order. */
  readonly kvs: readonly KeyValue[];
}

/** What a range asks for. */
export interface RangeRequest {
  /** First key. */
  readonly key: Bytes;
  /** The key after the last one; empty for one key. */
  readonly rangeEnd?: Bytes;
  /** Most keys. */
  readonly limit?: bigint;
  /** Ascending by key. */
  readonly sortOrder?: number;
}

/** One step of a transaction. */
export interface RequestOp {
  /** Exactly one of the three. */
  readonly request:
    | { readonly case: "requestRange"; readonly value: RangeRequest }
    | {
      readonly case: "requestPut";
      readonly value: { readonly key: Bytes; readonly value: Bytes; readonly lease?: bigint };
    }
    | { readonly case: "requestDeleteRange"; readonly value: { readonly key: Bytes } };
}

/** A transaction: one comparison, and what is done if it holds or not. */
export interface TxnRequest {
  /** `target` 1: create revision; 2: mod revision; `result` 0: equal. */
  readonly compare: readonly {
    readonly result: number;
    readonly target: number;
    readonly key: Bytes;
    readonly targetUnion:
      | { readonly case: "createRevision"; readonly value: bigint }
      | { readonly case: "modRevision"; readonly value: bigint };
  }[];
  /** If all hold. */
  readonly success: readonly RequestOp[];
  /** Else. */
  readonly failure: readonly RequestOp[];
}

/** An answer to a transaction. */
export interface TxnAnswer {
  /** See {@linkcode Header}. */
  readonly header: Header;
  /** Whether the comparison held. */
  readonly succeeded: boolean;
  /** One per step. */
  readonly responses: readonly {
    readonly response: { readonly case?: string; readonly value?: unknown };
  }[];
}

/** One message of a watch. */
export interface WatchAnswer {
  /** See {@linkcode Header}. */
  readonly header: Header;
  /** The watch has begun. */
  readonly created: boolean;
  /** It has ended. */
  readonly canceled: boolean;
  /** What happened: `type` 0 a put, 1 a deletion. */
  readonly events: readonly { readonly type: number; readonly kv: KeyValue }[];
}

/** What a call may take. */
export interface CallOptions {
  /** Deadline. */
  readonly timeoutMs?: number;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

/** The service KV. */
export interface KvClient {
  /** Reads keys. */
  range(request: RangeRequest, options?: CallOptions): Promise<RangeAnswer>;
  /** Compares and writes. */
  txn(request: TxnRequest, options?: CallOptions): Promise<TxnAnswer>;
}

/** The service Watch. */
export interface WatchClient {
  /** Follows changes. */
  watch(
    requests: AsyncIterable<{
      readonly requestUnion: {
        readonly case: "createRequest";
        readonly value: { readonly key: Bytes; readonly rangeEnd: Bytes; readonly startRevision: bigint };
      };
    }>,
    options?: CallOptions,
  ): AsyncIterable<WatchAnswer>;
}

/** The service Lease. */
export interface LeaseClient {
  /** Asks for a lease; the server chooses the id. */
  leaseGrant(
    request: { readonly TTL: bigint },
    options?: CallOptions,
  ): Promise<{ readonly ID: bigint; readonly TTL: bigint }>;
  /** Ends a lease, and the keys with it. */
  leaseRevoke(request: { readonly ID: bigint }, options?: CallOptions): Promise<unknown>;
  /** Prolongs leases. `TTL` 0: it has expired. */
  leaseKeepAlive(
    requests: AsyncIterable<{ readonly ID: bigint }>,
    options?: CallOptions,
  ): AsyncIterable<{ readonly ID: bigint; readonly TTL: bigint }>;
}

/** The services by name. */
export function etcdServices(): {
  readonly kv: DescService;
  readonly watch: DescService;
  readonly lease: DescService;
} {
  const file = create(FileDescriptorProtoSchema, {
    name: "etcd.proto",
    package: "etcdserverpb",
    syntax: "proto3",
    messageType: Object.entries(MESSAGES).map(([name, fields]) => messageOf(name, fields)),
    enumType: ENUMS.map(([name, values]) => enumOf(name, values)),
    service: SERVICES.map(([name, methods]) => serviceOf(name, methods)),
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const service = (name: string) => registry.getService(`etcdserverpb.${name}`) as DescService;
  return { kv: service("KV"), watch: service("Watch"), lease: service("Lease") };
}

/** `name: number type`, where the type is a scalar, `*` for repeated, or a message; `|name` after it: member of a oneof. */
type Fields = Readonly<Record<string, readonly [number: number, type: string]>>;

// The packages of the messages are not sent, only those of the services: all of them stand in one here.
const MESSAGES: Readonly<Record<string, Fields>> = {
  ResponseHeader: {
    cluster_id: [1, "u64"],
    member_id: [2, "u64"],
    revision: [3, "i64"],
    raft_term: [4, "u64"],
  },
  KeyValue: {
    key: [1, "bytes"],
    create_revision: [2, "i64"],
    mod_revision: [3, "i64"],
    version: [4, "i64"],
    value: [5, "bytes"],
    lease: [6, "i64"],
  },
  Event: { type: [1, "EventType"], kv: [2, "KeyValue"] },
  RangeRequest: {
    key: [1, "bytes"],
    range_end: [2, "bytes"],
    limit: [3, "i64"],
    revision: [4, "i64"],
    sort_order: [5, "SortOrder"],
  },
  RangeResponse: {
    header: [1, "ResponseHeader"],
    kvs: [2, "KeyValue*"],
    more: [3, "bool"],
    count: [4, "i64"],
  },
  PutRequest: { key: [1, "bytes"], value: [2, "bytes"], lease: [3, "i64"] },
  PutResponse: { header: [1, "ResponseHeader"] },
  DeleteRangeRequest: { key: [1, "bytes"], range_end: [2, "bytes"] },
  DeleteRangeResponse: { header: [1, "ResponseHeader"], deleted: [2, "i64"] },
  RequestOp: {
    request_range: [1, "RangeRequest|request"],
    request_put: [2, "PutRequest|request"],
    request_delete_range: [3, "DeleteRangeRequest|request"],
  },
  ResponseOp: {
    response_range: [1, "RangeResponse|response"],
    response_put: [2, "PutResponse|response"],
    response_delete_range: [3, "DeleteRangeResponse|response"],
  },
  Compare: {
    result: [1, "CompareResult"],
    target: [2, "CompareTarget"],
    key: [3, "bytes"],
    version: [4, "i64|target_union"],
    create_revision: [5, "i64|target_union"],
    mod_revision: [6, "i64|target_union"],
  },
  TxnRequest: { compare: [1, "Compare*"], success: [2, "RequestOp*"], failure: [3, "RequestOp*"] },
  TxnResponse: { header: [1, "ResponseHeader"], succeeded: [2, "bool"], responses: [3, "ResponseOp*"] },
  WatchCreateRequest: { key: [1, "bytes"], range_end: [2, "bytes"], start_revision: [3, "i64"] },
  WatchRequest: { create_request: [1, "WatchCreateRequest|request_union"] },
  WatchResponse: {
    header: [1, "ResponseHeader"],
    watch_id: [2, "i64"],
    created: [3, "bool"],
    canceled: [4, "bool"],
    compact_revision: [5, "i64"],
    cancel_reason: [6, "string"],
    events: [11, "Event*"],
  },
  LeaseGrantRequest: { TTL: [1, "i64"], ID: [2, "i64"] },
  LeaseGrantResponse: {
    header: [1, "ResponseHeader"],
    ID: [2, "i64"],
    TTL: [3, "i64"],
    error: [4, "string"],
  },
  LeaseRevokeRequest: { ID: [1, "i64"] },
  LeaseRevokeResponse: { header: [1, "ResponseHeader"] },
  LeaseKeepAliveRequest: { ID: [1, "i64"] },
  LeaseKeepAliveResponse: { header: [1, "ResponseHeader"], ID: [2, "i64"], TTL: [3, "i64"] },
};

const ENUMS: readonly (readonly [string, readonly string[]])[] = [
  ["EventType", ["PUT", "DELETE"]],
  ["SortOrder", ["NONE", "ASCEND", "DESCEND"]],
  ["CompareResult", ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]],
  ["CompareTarget", ["VERSION", "CREATE", "MOD", "VALUE"]],
];

/** Methods: request, answer, and whether both are streams. */
const SERVICES:
  readonly (readonly [string, Readonly<Record<string, readonly [string, string, boolean?]>>])[] = [
    ["KV", { Range: ["RangeRequest", "RangeResponse"], Txn: ["TxnRequest", "TxnResponse"] }],
    ["Watch", { Watch: ["WatchRequest", "WatchResponse", true] }],
    ["Lease", {
      LeaseGrant: ["LeaseGrantRequest", "LeaseGrantResponse"],
      LeaseRevoke: ["LeaseRevokeRequest", "LeaseRevokeResponse"],
      LeaseKeepAlive: ["LeaseKeepAliveRequest", "LeaseKeepAliveResponse", true],
    }],
  ];

const SCALARS: Readonly<Record<string, Type>> = {
  i64: Type.INT64,
  u64: Type.UINT64,
  bool: Type.BOOL,
  string: Type.STRING,
  bytes: Type.BYTES,
};

function messageOf(name: string, fields: Fields): DescriptorProto {
  const unions = [...new Set(Object.values(fields).flatMap(([, type]) => type.split("|").slice(1)))];
  return create(DescriptorProtoSchema, {
    name,
    oneofDecl: unions.map((union) => create(OneofDescriptorProtoSchema, { name: union })),
    field: Object.entries(fields).map(([field, [number, spec]]) => {
      const [kind, union] = spec.split("|") as [string, string?];
      const type = kind.replace("*", "");
      const scalar = SCALARS[type];
      return create(FieldDescriptorProtoSchema, {
        name: field,
        number,
        label: kind.endsWith("*") ? Label.REPEATED : Label.OPTIONAL,
        type: scalar ?? (ENUMS.some(([name]) => name === type) ? Type.ENUM : Type.MESSAGE),
        ...(scalar === undefined ? { typeName: `.etcdserverpb.${type}` } : {}),
        ...(union === undefined ? {} : { oneofIndex: unions.indexOf(union) }),
      });
    }),
  });
}

function enumOf(name: string, values: readonly string[]): EnumDescriptorProto {
  return create(EnumDescriptorProtoSchema, {
    name,
    // Values of an enum share the names of its package.
    value: values.map((value, number) => ({ name: `${name}_${value}`, number })),
  });
}

function serviceOf(
  name: string,
  methods: Readonly<Record<string, readonly [string, string, boolean?]>>,
): ServiceDescriptorProto {
  return create(ServiceDescriptorProtoSchema, {
    name,
    method: Object.entries(methods).map(([method, [input, output, streams]]) => ({
      name: method,
      inputType: `.etcdserverpb.${input}`,
      outputType: `.etcdserverpb.${output}`,
      clientStreaming: streams === true,
      serverStreaming: streams === true,
    })),
  });
}
