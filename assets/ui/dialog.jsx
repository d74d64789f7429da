// A native modal dialog, opened and closed by state: the browser keeps the focus inside and gives it back.
import { useEffect, useRef } from "react";

export function Dialog({ open = false, onClose, label = "", wide = false, children }) {
  const ref = useRef(null);
  useEffect(() => {
    const el = ref.current;
    if (open && !el.open) el.showModal();
    if (!open && el.open) el.close();
  }, [open]);
  return (
    <dialog ref={ref} className={wide ? "modal wide" : "modal"} aria-label={label}
      onCancel={(event) => { event.preventDefault(); onClose?.(); }}
      onClick={(event) => { if (event.target === ref.current) onClose?.(); }}>
      {open && <div className="inner">{children}</div>}
    </dialog>
  );
}
