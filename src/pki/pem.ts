/**
 * PEM text around DER bytes, as every layer reads and writes it.
 *
 * @module
 */

export { fromPem, toPem } from "../base/pem.ts";
