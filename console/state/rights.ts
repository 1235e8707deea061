import type { Session } from "../api/methods.js";

/** Whether a session may change the mesh. The control plane decides; pages only hide what it would refuse. */
export const mayChange = (session: Session): boolean => session.rights.includes("change");
