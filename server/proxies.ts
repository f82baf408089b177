// Which peers are proxies whose word on their client's address counts: those the operator lists, and nobody else (semantics A6).
// Refuses: what is no address or network; BlockList throws.

import { BlockList, isIPv4 } from 'node:net';

/** Whether an address is one of `proxies`: addresses, or networks as address/bits. */
export function proxyMatcher(proxies: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => proxies.length > 0 && address !== '' && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}
