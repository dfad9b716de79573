// Amounts are decimal strings outside ("12.34") and whole minor units inside (1234).

const DECIMALS = {JPY: 0, KRW: 0, VND: 0, CLP: 0, BHD: 3, KWD: 3, OMR: 3, TND: 3};
const MOST_DIGITS = 12; // far below 2^53, so that numbers are exact

const decimalsOf = (currency) => DECIMALS[currency] ?? 2;

/** Minor units of a decimal string; null for anything that is no positive amount of the currency. */
export function toMinor(text, currency) {
  if (typeof text !== 'string') return null;
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  const decimals = decimalsOf(currency);
  if (whole === undefined || fraction.length > decimals) return null;
  const digits = whole + fraction.padEnd(decimals, '0');
  if (digits.length > MOST_DIGITS) return null;
  return Number(digits) || null;
}

/** The decimal string of an amount in minor units. */
export function toDecimal(minor, currency) {
  const decimals = decimalsOf(currency);
  if (decimals === 0) return String(minor);
  const digits = String(minor).padStart(decimals + 1, '0');
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
