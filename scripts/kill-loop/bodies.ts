// Bodies that say who they are: a name, its size, and a filling that follows from the name, so that a byte out of place is seen.
// Always: bodyOf and nameIn are each other's reverse. Refuses: a body that is not as it was made, with the reason.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `name` without '|'. The body is at least as long as its own heading. */
export function bodyOf(name: string, bytes: number): Uint8Array {
  const heading = encoder.encode(`${name}|${bytes}|`);
  const body = new Uint8Array(Math.max(bytes, heading.length));
  body.set(heading);
  fill(body, heading.length);
  return body;
}

/** The name of a body, or what is wrong with it. */
export function nameIn(body: Uint8Array): { readonly name: string; readonly fault: string | undefined } {
  const bar = body.indexOf(0x7c);
  const name = decoder.decode(body.subarray(0, bar < 0 ? Math.min(40, body.length) : bar));
  const end = body.indexOf(0x7c, bar + 1);
  if (bar < 0 || end < 0) return { name, fault: 'has no heading' };
  const wanted = bodyOf(name, Number(decoder.decode(body.subarray(bar + 1, end))));
  if (wanted.length !== body.length) return { name, fault: `has ${body.length} bytes of ${wanted.length}` };
  const at = body.findIndex((byte, i) => byte !== wanted[i]);
  return { name, fault: at < 0 ? undefined : `has another byte at ${at}` };
}

function fill(body: Uint8Array, from: number): void {
  let state = from;
  for (let i = 0; i < from; i++) state = (Math.imul(state, 31) + (body[i] ?? 0)) >>> 0;
  for (let i = from; i < body.length; i++) {
    body[i] = (state >>> ((i & 3) * 8)) & 0xff;
    if ((i & 3) === 3) state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  }
}
