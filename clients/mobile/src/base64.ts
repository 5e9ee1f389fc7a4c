// Base64 of bytes: React Native has no Buffer, and not every engine has btoa.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Uint8Array(128).fill(255);
for (let value = 0; value < 64; value += 1) VALUES[ALPHABET.charCodeAt(value)] = value;

export function encodeBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3);
    const left = bytes.length - at;
    pieces.push(
      ALPHABET.charAt(first >> 2),
      ALPHABET.charAt(((first & 3) << 4) | (second >> 4)),
      left > 1 ? ALPHABET.charAt(((second & 15) << 2) | (third >> 6)) : '=',
      left > 2 ? ALPHABET.charAt(third & 63) : '=',
    );
  }
  return pieces.join('');
}

// Throws a RangeError for text that is no base64.
export function decodeBase64(text: string): Uint8Array {
  if (text.length % 4) throw new RangeError(`base64 of ${text.length} characters: expected a multiple of 4`);
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  for (let at = 0, out = 0; at < text.length; at += 4) {
    let word = 0;
    for (let place = at; place < at + 4; place += 1) {
      const value = place < text.length - padding ? (VALUES[text.charCodeAt(place)] ?? 255) : 0;
      if (value === 255) throw new RangeError(`base64: ${JSON.stringify(text[place])} is none of its characters`);
      word = (word << 6) | value;
    }
    for (let shift = 16; shift >= 0 && out < bytes.length; shift -= 8) bytes[out++] = (word >> shift) & 255;
  }
  return bytes;
}
