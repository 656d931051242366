/**
 * Why a connection was refused or a link ended. These go to logs, metrics and {@linkcode LinkEvent} reasons; they are not
 * errors of a caller, so they are not in the table of `base/errors.ts`.
 *
 * @module
 */

/** Every reason class, with its meaning. A code is never reused for something else. */
export const LINK_CODES = {
  // TLS and the leaf certificate, in the order in which they are judged.
  TLS_FAILED: "the TLS handshake failed: not TLS, another version, or broken off",
  CERT_MISSING: "the peer showed no certificate",
  CERT_MALFORMED: "the certificate cannot be read",
  CERT_UNKNOWN_CA: "no configured authority issued and signed the certificate",
  CERT_NOT_YET_VALID: "the certificate is not valid yet",
  CERT_EXPIRED: "the certificate has expired",
  CERT_NOT_A_LEAF: "the certificate is an authority's, not a party's",
  CERT_WEAK_KEY: "the certificate's key is not P-256, P-384 or Ed25519",
  CERT_USAGE: "the certificate is not for both serverAuth and clientAuth",
  CERT_NAME: "the certificate does not carry exactly one URI name of a party of this cluster",
  CERT_REVOKED: "the certificate is on the revocation list",
  CRL_EXPIRED: "the revocation list is past its nextUpdate: new links are refused until it is renewed",
  PIN_MISMATCH: "the certificate's key is none of the party's pinned keys",
  PEER_IDENTITY_MISMATCH: "another party answered than the one that was dialled",
  CERT_REFUSED: "the runtime refused the certificate",
  // Rules of the mesh.
  SELF_CONNECT: "the connection comes from this party itself",
  DIAL_RULE: "the party with the lower index dials: this one must wait",
  DUPLICATE_PARTY: "another process of this party is connected and alive",
  PEER_UNKNOWN: "this node does not link with that party",
  // HELLO.
  HELLO_INVALID: "the HELLO or HELLO_ACK cannot be read",
  HELLO_FROM: "the HELLO names another sender than the certificate",
  HELLO_TO: "the HELLO is for another party",
  HELLO_ROLE: "the HELLO has the wrong role: reflected or misrouted",
  HELLO_CLUSTER: "the HELLO is of another cluster",
  HELLO_FINGERPRINT: "the HELLO was made for another TLS connection",
  HELLO_VERSION: "no protocol version in common",
  HELLO_SUITE: "no cipher suite in common",
  HELLO_SIGNATURE: "the HELLO_ACK is not signed by the party's identity key for this connection",
  HELLO_CLOCK: "the peer's clock differs by more than is allowed here",
  HELLO_KEY: "the key agreement gave no key",
  // Frames.
  FRAME_INVALID: "a frame header is malformed or a size is above its cap",
  FRAME_UNEXPECTED: "a frame of this type is not allowed in this state",
  FRAME_ADDRESS: "a frame's from or to is not the party of the link",
  MESSAGE_INVALID: "a message does not decode as its type",
  SEQUENCE: "a frame's sequence number is not the next one",
  SEAL_NONCE: "a sealed frame's nonce does not match its header",
  SEAL_EPOCH: "a sealed frame's key epoch is neither the current nor the next one",
  SEAL_MAC: "a sealed frame's MAC is wrong",
  SEAL_AEAD: "a sealed frame does not decrypt",
  // Time and load.
  DEADLINE_TCP: "no TCP connection before the deadline",
  DEADLINE_TLS: "no TLS handshake before the deadline",
  DEADLINE_HELLO: "no HELLO and HELLO_ACK before the deadline",
  DEADLINE_UP: "the link was not up before the deadline",
  RATE_LIMITED: "the peer sends more than it may: it is made to wait, and nothing is dropped",
  THROTTLED: "the address connects too often",
  EVICTED: "dropped to make room: too many connections that have not authenticated",
  SILENT: "nothing was heard for too long",
  ONE_WAY: "the peer is heard, but answers nothing: what is sent to it does not arrive",
  BACKLOG: "the peer reads too slowly: too much is waiting to be sent, or for too long",
  AGE: "the link reached its greatest age and is made anew",
  // Endings.
  CLOSED: "the peer closed the connection",
  SOCKET: "the connection broke",
  REPLACED: "a newer connection of the same process took over",
  SHUTDOWN: "this node is stopping",
  DIAL_FAILED: "the peer could not be reached",
  GAVE_UP: "the peer could not be reached as often as was to be tried",
  RECEIVER_FAILED: "the receiver of link events threw an error",
  INTERNAL: "a bug in this program, met while reading from a peer",
  // Not failures.
  CLOCK_SKEW: "the peer's clock differs by more than is usual",
  RELOADED: "certificates, authorities, revocation lists and pins were read again",
  LINK_UP: "the link is up",
  KEY_ROTATED: "what goes in one direction of a link has new keys",
  LISTENING: "the listener is bound and passed its self-test",
} as const satisfies Record<string, string>;

/** One of {@linkcode LINK_CODES}. */
export type LinkCode = keyof typeof LINK_CODES;

/** A peer or a stranger did what ends a connection. Caught where the connection is closed; never leaves the transport. */
export class LinkFault extends Error {
  /** The name of the class. */
  override name = "LinkFault";
  /** The reason class. */
  readonly code: LinkCode;

  /**
   * Makes a fault of a class.
   *
   * @param text more than the code's meaning; default: the meaning.
   */
  constructor(code: LinkCode, text: string = LINK_CODES[code]) {
    super(text);
    this.code = code;
  }
}
