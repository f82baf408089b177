// The PROXY protocol: headers as haproxy's document spells them, whole and in parts, and what is none.
import { describe, expect, test } from 'vitest';
import { parseProxyHeader } from '../../../server/amqp/proxy-header.ts';
import { proxyMatcher } from '../../../server/proxies.ts';

const text = (line: string): Buffer => Buffer.from(line, 'latin1');
const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (octets: string): Buffer => Buffer.from(octets.replaceAll(' ', ''), 'hex');

const good: readonly [what: string, header: Buffer, source: { address: string; port: number } | undefined][] = [
  ['version 1, IPv4', text('PROXY TCP4 203.0.113.7 10.0.0.1 56324 5672\r\n'), { address: '203.0.113.7', port: 56_324 }],
  ['version 1, IPv6', text('PROXY TCP6 2001:db8::7 2001:db8::1 56324 5672\r\n'), { address: '2001:db8::7', port: 56_324 }],
  ['version 1, unknown', text('PROXY UNKNOWN\r\n'), undefined],
  ['version 1, unknown with whatever follows', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  ['version 2, IPv4', hex(`${SIGNATURE} 21 11 000c cb007107 0a000001 dc04 1628`), { address: '203.0.113.7', port: 56_324 }],
  [
    'version 2, IPv6',
    hex(`${SIGNATURE} 21 21 0024 20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 1628`),
    { address: '2001:db8::7', port: 56_324 },
  ],
  ['version 2, local', hex(`${SIGNATURE} 20 00 0000`), undefined],
  [
    'version 2, with TLVs behind',
    hex(`${SIGNATURE} 21 11 0010 cb007107 0a000001 dc04 1628 04000161`),
    { address: '203.0.113.7', port: 56_324 },
  ],
];

test.each(good)('%s is read, also when what follows it is there already', (_what, header, source) => {
  expect(parseProxyHeader(header)).toEqual({ length: header.length, source });
  expect(parseProxyHeader(Buffer.concat([header, text('AMQP')]))).toEqual({ length: header.length, source });
});

test.each(good)('%s is waited for while a part of it is there', (_what, header) => {
  for (let length = 0; length < header.length; length++) expect(parseProxyHeader(header.subarray(0, length))).toBe('short');
});

test.each([
  ['AMQP without a header', text('AMQP\0\0\x09\x01')],
  ['a line that never ends', text(`PROXY TCP4 ${'1'.repeat(200)}`)],
  ['an address that is none', text('PROXY TCP4 999.0.113.7 10.0.0.1 56324 5672\r\n')],
  ['an address of another family', text('PROXY TCP4 2001:db8::7 10.0.0.1 56324 5672\r\n')],
  ['a port that is none', text('PROXY TCP4 203.0.113.7 10.0.0.1 99999 5672\r\n')],
  ['a family that does not exist', text('PROXY UDP4 203.0.113.7 10.0.0.1 56324 5672\r\n')],
  ['a line that ends in LF alone', text('PROXY TCP4 203.0.113.7 10.0.0.1 56324 5672\n')],
  ['version 3', hex(`${SIGNATURE} 31 11 000c cb007107 0a000001 dc04 1628`)],
  ['a command that does not exist', hex(`${SIGNATURE} 22 11 000c cb007107 0a000001 dc04 1628`)],
  ['addresses that are cut short', hex(`${SIGNATURE} 21 11 0008 cb007107 0a000001`)],
  ['a length that nobody needs', hex(`${SIGNATURE} 21 11 ffff`)],
])('%s is refused', (_what, octets) => {
  expect(parseProxyHeader(octets)).toBe('wrong');
});

describe('a proxy', () => {
  test('is who the operator lists, by address or network', () => {
    const isProxy = proxyMatcher(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1']);
    expect(['10.1.2.3', '192.0.2.1', '2001:db8::5', '::ffff:10.1.2.3'].map(isProxy)).toEqual([true, true, true, true]);
    expect(['11.1.2.3', '192.0.2.2', '2001:db9::5', ''].map(isProxy)).toEqual([false, false, false, false]);
    expect(proxyMatcher([])('127.0.0.1')).toBe(false);
  });
});
