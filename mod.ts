/**
 * Threshold keys for several hosts: the protocols, the transport and the node.
 *
 * @module
 */
export {};
