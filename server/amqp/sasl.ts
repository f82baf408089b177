// Who the client says it is: the SASL mechanisms of connection.start, and their responses.
// Always: a response that does not parse is 501 or 502, never a login. PLAIN is RFC 4616's; AMQPLAIN a field table without its length, with LOGIN
// and PASSWORD; EXTERNAL the client's certificate, and offered only where the transport has verified one.
// Refuses: to check anything. The Login does.

import { decodeTable } from '../../shared/amqp/table.ts';
import { writeU32 } from '../../shared/bytes.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { decodeUtf8 } from '../../shared/text.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** As connection.start names them. */
export function mechanisms(isCertified: boolean): string {
  return isCertified ? 'PLAIN AMQPLAIN EXTERNAL' : 'PLAIN AMQPLAIN';
}

export function readPlain(response: Uint8Array): Credentials {
  const second = response.indexOf(0, 1);
  // A first field would ask for the rights of another user: nobody may have them, as in RabbitMQ.
  if (response[0] !== 0 || second < 0) throw new AmqpError(ReplyCode.SyntaxError, 'response of mechanism PLAIN is invalid');
  return { user: decodeUtf8(response, 1, second), password: decodeUtf8(response, second + 1, response.length) };
}

export function readAmqplain(response: Uint8Array): Credentials {
  const table = new Uint8Array(4 + response.length);
  table.set(response, writeU32(table, 0, response.length));
  const fields = decodeTable(table, 0, table.length);
  const [user, password] = [fields.get('LOGIN'), fields.get('PASSWORD')];
  if (typeof user !== 'string' || typeof password !== 'string')
    throw new AmqpError(ReplyCode.SyntaxError, 'AMQPLAIN auth info has no LOGIN or PASSWORD');
  return { user, password };
}
