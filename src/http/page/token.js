// Asks for the access token, where the gateway has one.

import { token } from "./api.js";
import { h } from "./dom.js";

export const tokenForm = (asks, retry) =>
  h("form", {
    key: "token",
    class: "token",
    onsubmit: (event) => {
      event.preventDefault();
      const field = event.target.elements.token;
      token.set(field.value.trim());
      field.value = "";
      retry();
    },
  },
  h("h1", null, "This gateway asks for its access token"),
  h("p", null, "It is the one in its configuration (", h("code", null, "access_token"), "). It is kept in this tab only, and forgotten when the tab is closed."),
  asks === "wrong" && token.get() && h("p", { class: "notice bad", role: "alert" }, "That is not the gateway's token."),
  h("label", null, "Access token", h("input", { name: "token", type: "password", autocomplete: "off", required: true, autofocus: true, spellcheck: "false" })),
  h("button", { class: "primary" }, "Open"));
