// Stands around every page: when a part of it breaks, a sentence takes its place instead of a blank window.
import { Component } from "react";

export class Safe extends Component {
  constructor(props) {
    super(props);
    this.state = { broken: false };
  }

  static getDerivedStateFromError() {
    return { broken: true };
  }

  render() {
    if (!this.state.broken) return this.props.children;
    return (
      <main className="gate gate-page">
        <div className="card" role="alert">
          <h1>This page broke</h1>
          <p className="muted">Nothing was lost: what you saved is on the server. Load the page again to go on.</p>
          <button type="button" className="btn primary" onClick={() => location.reload()}>Load again</button>
        </div>
      </main>
    );
  }
}
