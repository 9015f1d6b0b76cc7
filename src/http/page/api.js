// Calls AdminService as JSON, at the listener that this page is from.

const PREFIX = "/api/switchboard.v1.AdminService/";
const TOKEN = "switchboard-access-token";
const TIMEOUT_MS = 15_000;

/** What the gateway refused, or why there was no answer: `code` is gRPC's, or `UNREACHABLE`. */
export class ApiError extends Error {
  constructor(code, message, details = []) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

let skewMs = 0;

/** The gateway's clock: relative times are right even where this machine's clock is not. */
export const now = () => Date.now() + skewMs;

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** Calls a method; `signal` cancels it. Long calls name their own limit. */
export async function call(method, request = {}, { signal, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = { "content-type": "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  const signals = [AbortSignal.timeout(timeoutMs), signal].filter(Boolean);
  let response;
  let answer;
  try {
    response = await fetch(PREFIX + method, {
      method: "POST",
      headers,
      body: JSON.stringify(request),
      signal: AbortSignal.any(signals),
      cache: "no-store",
    });
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("UNREACHABLE", "the gateway does not answer");
  }
  const date = Date.parse(response.headers.get("date"));
  // The header has whole seconds.
  if (date && Math.abs(date - now()) > 2_000) skewMs = date + 500 - Date.now();
  if (response.ok) return answer;
  throw new ApiError(answer.code, answer.message, answer.details);
}
