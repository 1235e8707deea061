/**
 * Gives records and units back to a control plane that lost them. The control plane asks for them piece by piece on its
 * join listener.
 */
import { type Digest, digestFromBytes } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import {
  encodeOfferContent,
  type HeldParts,
  type OfferContent,
  type OfferedPiece,
  offerSigningBytes,
  piecesBytesMax,
} from "../../core/wire/offers.js";
import { JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { callUnary } from "../../runtime/grpc-client.js";
import {
  type ContactDeps,
  contactTimeoutMs,
  type KnownTrust,
  learnTrust,
  withVerified,
} from "../../runtime/mesh-contact.js";
import { signEcdsa } from "../../runtime/tls-identity-keys.js";

/** The offering proxy's identity and the control plane's address. */
export interface OfferContact extends ContactDeps {
  readonly known: KnownTrust;
  /** The certificate chain in DER, the leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly privateKeyPem: string;
}

/** The records and units that this proxy can give. */
export interface OfferSource {
  held(): Promise<HeldParts>;
  /** Returns undefined if the content is no longer there. */
  read(digest: Digest): Promise<Uint8Array | undefined>;
}

const stepsMax = 10_000;

/**
 * Offers until the control plane wants nothing more. Returns how many records and units were given. Fails with the
 * control plane's error.
 */
export async function offerHeld(contact: OfferContact, source: OfferSource, signal: AbortSignal): Promise<number> {
  const learnt = await learnTrust(contact, contact.known, signal);
  const options = { timeoutMs: contactTimeoutMs, signal };
  const [certificate = new Uint8Array(), ...chain] = contact.chain.map((der) => Buffer.from(der));
  return withVerified(contact, learnt, async (client) => {
    const giving = new Giving(source);
    let { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, options);
    let content: OfferContent = { held: await source.held(), pieces: [], absent: [] };
    for (let step = 0; step < stepsMax; step += 1) {
      const bytes = Buffer.from(encodeOfferContent(content));
      const signature = Buffer.from(signEcdsa(offerSigningBytes(nonce, bytes), contact.privateKeyPem));
      const request = { certificate: Buffer.from(certificate), chain, nonce, signature, content: bytes };
      const answer = await callUnary(client, JoinServiceService.offer, request, options);
      if (answer.wanted.length === 0) return giving.given;
      nonce = answer.nonce;
      content = await giving.next(answer.wanted.map(digestFromBytes));
    }
    throw new AshlarError("limit", `a control plane wants more than ${stepsMax} steps of an offer`);
  });
}

/** Divides the wanted content into steps. */
class Giving {
  readonly #source: OfferSource;
  given = 0;
  /** The content that did not fit completely into the last step. */
  #rest: { readonly digest: Digest; readonly bytes: Uint8Array; readonly offset: number } | undefined;

  constructor(source: OfferSource) {
    this.#source = source;
  }

  async next(wanted: readonly Digest[]): Promise<OfferContent> {
    const pieces: OfferedPiece[] = [];
    const absent: Digest[] = [];
    let room = piecesBytesMax;
    const rest = this.#rest;
    for (const digest of rest === undefined ? wanted : [rest.digest, ...wanted.filter((one) => one !== rest.digest)]) {
      if (room === 0) break;
      const bytes = rest?.digest === digest ? rest.bytes : await this.#source.read(digest);
      if (bytes === undefined || bytes.length === 0) {
        absent.push(digest);
        continue;
      }
      const offset = rest?.digest === digest ? rest.offset : 0;
      const data = bytes.subarray(offset, offset + room);
      pieces.push({ digest, size: bytes.length, offset, data });
      room -= data.length;
      const end = offset + data.length;
      this.#rest = end < bytes.length ? { digest, bytes, offset: end } : undefined;
      if (end === bytes.length) this.given += 1;
    }
    return { held: undefined, pieces, absent };
  }
}
