// A form that speaks plain HTTP, because only an HTTP answer can set the cookie of a session.
import { useEffect, useState } from "react";

const safeNext = (fallback) => {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  return /^\/(?![/\\])[\x21-\x7e]*$/.test(next) ? next : fallback;
};

export function Gate({ action, method = "POST", submit = "Continue", next = "/", withToken = false, dead = "", onToken, success = "", extra = {}, children }) {
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState("");
  const [busy, setBusy] = useState(false);
  const [token, setToken] = useState("");
  useEffect(() => {
    const value = location.hash.replace(/^#(token=)?/, "");
    setToken(value);
    if (withToken && !value) setProblem("This link is not complete. Open it exactly as it was given to you.");
    if (withToken) onToken?.(value);
  }, [withToken]);

  const send = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const body = { ...extra, ...Object.fromEntries(new FormData(form)) };
    if (withToken) body.token = token;
    if ("password_again" in body && body.password_again !== (body.new_password ?? body.password)) {
      setProblem("The two passwords are not the same.");
      return;
    }
    delete body.password_again;
    setBusy(true);
    setProblem("");
    try {
      const answer = await fetch(action, {
        method, headers: { "Content-Type": "application/json" }, credentials: "same-origin", body: JSON.stringify(body),
      });
      if (answer.ok) {
        if (success) { setDone(success); setBusy(false); form.reset(); return; }
        // A used link does not stay in the address bar or the history.
        if (withToken) history.replaceState(history.state, "", location.pathname);
        location.assign(safeNext(next));
        return;
      }
      const said = await answer.json().catch(() => null);
      setProblem(said?.error?.message ?? `The server answered ${answer.status}. Try again in a moment.`);
    } catch {
      setProblem("The server cannot be reached. Check the connection and try again.");
    }
    setBusy(false);
  };
  if (dead) return <div className="box bad" role="alert">{dead}</div>;
  return (
    <form className="plain" onSubmit={send}>
      {children}
      <div role="alert" className="alert-slot">{problem && <div className="box bad">{problem}</div>}</div>
      <div role="status" className="alert-slot">{done && <div className="box good">{done}</div>}</div>
      <button type="submit" className="btn primary" disabled={busy || (withToken && !token)}>{busy ? "One moment…" : submit}</button>
    </form>
  );
}

export function SignOut({ action, method = "DELETE", children }) {
  const leave = async () => {
    await fetch(action, { method, credentials: "same-origin" }).catch(() => null);
    try { sessionStorage.clear(); } catch { /* private mode */ }
    location.assign("/sign-in");
  };
  return <button type="button" className="nav-link" onClick={leave}>{children}</button>;
}
