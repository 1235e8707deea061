/** A dialog that asks before something changes. The browser keeps the focus inside, and Escape closes the dialog. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icon.js";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly onSubmit: () => void;
  readonly children: ComponentChildren;
  readonly footer: ComponentChildren;
}

export function Dialog({ title, onClose, onSubmit, children, footer }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="dialog" aria-label={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        <header>
          <h2>{title}</h2>
          <button type="button" class="button plain small" aria-label="Close" onClick={() => dialog.current?.close()}>
            <Icon name="cross" />
          </button>
        </header>
        <div class="dialog-body">{children}</div>
        <footer>
          <button type="button" class="button plain" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          {footer}
        </footer>
      </form>
    </dialog>
  );
}
