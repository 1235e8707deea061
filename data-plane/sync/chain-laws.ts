/** How the records of the two linked logs name each other (I2). */
import { mayActivate } from "../../core/activation.js";
import type { Activation, Trust } from "../../core/model.js";
import { mayTrust } from "../../core/trust.js";
import type { ChainLaw } from "./chain-state.js";

export const activationLaw: ChainLaw<Activation> = {
  keyOf: (activation) => activation.epoch,
  mayFollow: (head, next) => mayActivate(head, next.body),
};
export const trustLaw: ChainLaw<Trust> = {
  keyOf: (trust) => trust.sequence,
  mayFollow: (head, next) => mayTrust(head, next.body),
};
