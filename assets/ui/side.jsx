// A panel beside the content: takes the focus when it opens, Esc closes it, and the focus goes back to where it was.
import { useEffect, useRef } from "react";

export function Side({ onClose, label = "", title = "", place = "", subject = "", actions = [], children }) {
  const head = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    return () => before?.isConnected && before.focus?.({ preventScroll: true });
  }, []);
  useEffect(() => { head.current?.focus({ preventScroll: true }); }, [subject]);
  useEffect(() => {
    const body = head.current?.closest("aside")?.querySelector(".side-body");
    const mark = body?.querySelector("mark");
    if (mark) body.scrollTop = Math.max(0, mark.offsetTop - body.offsetTop - 80);
  }, [subject, children]);
  const press = (event) => {
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); onClose?.(); }
  };
  return (
    <aside className="side" aria-label={label} onKeyDown={press}>
      <div className="side-head">
        <div className="grow">
          <h2 tabIndex={-1} ref={head}>{title}</h2>
          {place && <div className="small muted">{place}</div>}
        </div>
        <button type="button" className="btn plain square" aria-label="Close" onClick={() => onClose?.()}>✕</button>
      </div>
      <div className="side-body" tabIndex={0}>{children}</div>
      <div className="side-foot">
        {actions.filter(([, href]) => href).map(([words, href, fresh]) => (
          <a key={words} className="btn mini" href={href} target={fresh ? "_blank" : undefined} rel="noopener">{words}</a>
        ))}
      </div>
    </aside>
  );
}
