import { resolve } from "node:path";
import { type AdminClient, openAdminClient } from "../../cli/client.js";
import { readContext } from "../../cli/context.js";
import type { PolicyFile } from "../../core/model.js";
import { Mesh } from "../../test/conformance/mesh.js";

/** A mesh with a client of its admin API, so that no command has to be started. */
export interface BenchMesh {
  readonly mesh: Mesh;
  readonly admin: AdminClient;
}

/** Runs `work` with a new mesh, and stops the mesh whatever happens. */
export async function withMesh(work: (mesh: BenchMesh) => Promise<void>): Promise<void> {
  const mesh = new Mesh(resolve(import.meta.dirname, "../../.."));
  try {
    await mesh.start();
    const admin = openAdminClient(readContext(`${mesh.data}/admin.json`));
    try {
      await work({ mesh, admin });
    } finally {
      admin.close();
    }
  } finally {
    await mesh.stop();
  }
}

/** Publishes files. Returns the revision's number. */
export async function publish(admin: AdminClient, files: readonly PolicyFile[]): Promise<number> {
  const { revision, findings } = await admin.publishRevision({
    files: [...files],
    message: "",
    parent: undefined,
    allowEmpty: false,
  });
  if (revision === undefined) throw new Error(`the policy of the bench is refused: ${findings[0]?.message}`);
  return revision.number;
}

/** An activation: its epoch, its record's time in Unix milliseconds, and how long the call took. */
export interface Activated {
  readonly epoch: number;
  readonly timeMs: number;
  readonly tookMs: number;
}

const prepareMs = 150_000;

/** Activates a revision once every live proxy has prepared it. */
export async function activate(admin: AdminClient, revision: number): Promise<Activated> {
  const startMs = performance.now();
  const { activation } = await admin.activateRevision({
    revision,
    reason: "",
    force: false,
    thresholdPercent: 0,
    prepareTimeoutMs: prepareMs,
    expectedEpoch: undefined,
    plan: undefined,
    endRollout: false,
  });
  if (activation === undefined) throw new Error("the answer says no activation");
  return { epoch: activation.epoch, timeMs: activation.timeMs, tookMs: performance.now() - startMs };
}
