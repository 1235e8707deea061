/**
 * `ashlar.v1.JournalFeedService`, which the proxies of a service serve behind their inbound listener, where its calls
 * are judged.
 */
import { AshlarError } from "../../core/errors.js";
import { JournalFeedServiceService } from "../../proto/gen/ashlar/v1/feed.js";
import { type BoundService, bindService, serverStreaming } from "../../runtime/grpc-handlers.js";
import { type FollowDeps, followJournal } from "./follow-journal.js";

/** The most open feeds, because each reads for itself and holds a batch of about 1 MiB. */
const feedsMax = 100;
const keysMax = 1000;
const keyBytesMax = 512;

export function createFeedService(deps: FollowDeps, service: string): BoundService {
  let feeds = 0;
  return bindService(JournalFeedServiceService, {
    follow: serverStreaming(async function* ({ from, keys }, { signal }) {
      if (keys.length > keysMax || keys.some((key) => key === "" || Buffer.byteLength(key) > keyBytesMax))
        throw new AshlarError("invalid_argument", `keys: at most ${keysMax} order keys of 1 to ${keyBytesMax} bytes`);
      if (feeds >= feedsMax)
        throw new AshlarError(
          "limit",
          `this proxy has ${feedsMax} open feeds: ask another instance, or follow fewer times`,
        );
      feeds += 1;
      try {
        yield* followJournal(deps, { service, from, keys: new Set(keys) }, signal);
      } finally {
        feeds -= 1;
      }
    }),
  });
}
