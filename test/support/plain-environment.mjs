/**
 * jest's environment for Node with an ordinary global object.
 *
 * jest makes its global object through a JavaScript Proxy, so every use of a global (Uint8Array, Math, Error, …)
 * in code under test calls back into it: an Ed25519 signature of the NATS client takes 60 ms instead of 4, and a test
 * with a NATS server of its own seven times the CPU. An ordinary global object has all that jest needs of it.
 * Node 22.0 to 22.7 does not know the constant and makes an object in between: slower, and as correct.
 */
import vm from "node:vm";
import { TestEnvironment } from "jest-environment-node";

// biome-ignore lint/style/noDefaultExport: jest looks for it
export default class PlainEnvironment extends TestEnvironment {
  constructor(config, context) {
    const { createContext } = vm;
    vm.createContext = () => createContext(vm.constants.DONT_CONTEXTIFY); // the base constructor calls it once
    try {
      super(config, context);
    } finally {
      vm.createContext = createContext;
    }
  }
}
