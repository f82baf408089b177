# pika, through its blocking connection. It has no recovery of its own: who lost the connection connects again.

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosed, UnroutableError
from datetime import datetime, timezone
from decimal import Decimal
from foreign_driver import URL, Patience, ask, fresh, large_body, retried, same, serve, sha256, until

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect(url=URL):
    parameters = pika.URLParameters(url)
    parameters.blocked_connection_timeout = Patience.seconds
    return pika.BlockingConnection(parameters)


def connected(step):
    def script():
        connection = connect()
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            return step(connection, channel)
        finally:
            if connection.is_open:
                connection.close()

    return script


def refused(what, connection, action, code, text):
    channel = connection.channel()
    try:
        action(channel)
    except ChannelClosedByBroker as error:
        same(what, (error.reply_code, text in error.reply_text), (code, True))
        return
    raise AssertionError(f'{what} was not refused')


def publish(channel, queue, body, properties=None, exchange='', **options):
    # With confirm_delivery it returns once the broker has confirmed, and raises when it refused.
    channel.basic_publish(exchange, queue, body, properties, **options)


def taken(channel, queue, auto_ack=True):
    method, properties, body = channel.basic_get(queue, auto_ack)
    if method is None:
        raise AssertionError(f'nothing is in {queue}')
    return method, properties, body


class Consumer:
    def __init__(self, connection, channel, queue, auto_ack=False):
        self.connection = connection
        self.got = []
        self.tag = channel.basic_consume(queue, lambda _channel, method, properties, body: self.got.append((method, properties, body)), auto_ack)

    def take(self, what):
        until(what, lambda: self.got, lambda: self.connection.process_data_events(0.1))
        return self.got.pop(0)


@connected
def confirms(connection, channel):
    queue = fresh('confirms')
    channel.queue_declare(queue, durable=True)
    for index in range(100):
        publish(channel, queue, f'message {index}', PERSISTENT)
    same('messages in the queue', channel.queue_declare(queue, passive=True).method.message_count, 100)
    for index in range(100):
        method, _, body = taken(channel, queue, auto_ack=False)
        same('body', body, f'message {index}'.encode())
        channel.basic_ack(method.delivery_tag)
    channel.queue_delete(queue)
    return '100 confirmed, one by one'


@connected
def ack_and_nack(connection, channel):
    queue = fresh('acks')
    channel.queue_declare(queue)
    for body in ['one', 'two', 'three']:
        publish(channel, queue, body)
    channel.basic_qos(prefetch_count=1)
    consumer = Consumer(connection, channel, queue)
    seen = []
    for index in range(4):
        method, _, body = consumer.take('a delivery')
        seen.append((body.decode(), method.redelivered))
        if index == 0:
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            channel.basic_ack(method.delivery_tag)
    same('deliveries', seen, [('one', False), ('one', True), ('two', False), ('three', False)])
    channel.basic_cancel(consumer.tag)
    same('messages left', channel.queue_declare(queue, passive=True).method.message_count, 0)

    publish(channel, queue, 'four')
    second = connection.channel()
    same('first time', taken(second, queue, auto_ack=False)[0].redelivered, False)
    second.close()
    method = taken(channel, queue, auto_ack=False)[0]
    same('second time', method.redelivered, True)
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.queue_delete(queue)
    return 'ack, nack, reject'


@connected
def topology(connection, channel):
    source, sink = fresh('source'), fresh('sink')
    channel.exchange_declare(source, 'topic')
    channel.exchange_declare(sink, 'fanout')
    channel.exchange_bind(sink, source, 'order.*')
    queue = channel.queue_declare('', exclusive=True).method.queue
    same('the name that the server gave begins with', queue[:8], 'amq.gen-')
    channel.queue_bind(queue, sink)
    publish(channel, 'order.new', 'routed', exchange=source)
    publish(channel, 'order.new.late', 'not routed', exchange=source)
    same('messages', channel.queue_declare(queue, passive=True).method.message_count, 1)
    same('body', taken(channel, queue)[2], b'routed')
    channel.exchange_unbind(sink, source, 'order.*')
    publish(channel, 'order.new', 'unbound', exchange=source)
    same('what came after unbind', channel.basic_get(queue)[0], None)

    channel.queue_bind(queue, 'amq.headers', '', {'x-match': 'all', 'region': 'eu', 'rank': 1})
    for region in ['eu', 'us']:
        publish(channel, '', region, pika.BasicProperties(headers={'region': region, 'rank': 1}), exchange='amq.headers')
    same('purged', channel.queue_purge(queue).method.message_count, 1)

    channel.exchange_declare(source, passive=True)
    channel.exchange_delete(source)
    channel.exchange_delete(sink)
    channel.queue_delete(queue)
    refused('queue', connection, lambda other: other.queue_declare(queue, passive=True), 404, 'NOT_FOUND - no queue')
    refused('exchange', connection, lambda other: other.exchange_declare(source, passive=True), 404, 'NOT_FOUND - no exchange')
    return 'e2e, server-named, passive'


@connected
def rpc(connection, channel):
    queue = fresh('rpc')
    server = connection.channel()
    server.queue_declare(queue, exclusive=True)

    def answer(_channel, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        server.basic_publish('', properties.reply_to, body + b', world', reply)
        server.basic_ack(method.delivery_tag)

    server.basic_consume(queue, answer)
    # Direct reply-to wants requests and replies on one channel.
    replies = Consumer(connection, channel, 'amq.rabbitmq.reply-to', auto_ack=True)
    for word in ['hello', 'good morning']:
        publish(channel, queue, word, pika.BasicProperties(reply_to='amq.rabbitmq.reply-to', correlation_id=word))
        _, properties, body = replies.take('the reply')
        same('reply', (body.decode(), properties.correlation_id), (f'{word}, world', word))
    return 'direct reply-to'


@connected
def ttl_and_dlx(connection, channel):
    dlx, dead, queue = fresh('dlx'), fresh('dead'), fresh('ttl')
    channel.exchange_declare(dlx, 'direct')
    channel.queue_declare(dead)
    channel.queue_bind(dead, dlx, queue)
    channel.queue_declare(queue, arguments={'x-message-ttl': 60_000, 'x-dead-letter-exchange': dlx})
    consumer = Consumer(connection, channel, dead, auto_ack=True)

    publish(channel, queue, 'short-lived', pika.BasicProperties(expiration='20'))
    _, properties, body = consumer.take('the expired message')
    same('body and expiration', (body, properties.expiration), (b'short-lived', None))
    death = properties.headers['x-death'][0]
    same('time', isinstance(death.pop('time'), datetime), True)
    expected = {'count': 1, 'reason': 'expired', 'queue': queue, 'exchange': '', 'routing-keys': [queue], 'original-expiration': '20'}
    same('x-death', death, expected)
    same('x-first-death-reason', properties.headers['x-first-death-reason'], 'expired')

    publish(channel, queue, 'refused')
    channel.basic_reject(taken(channel, queue, auto_ack=False)[0].delivery_tag, requeue=False)
    same('reason', consumer.take('the rejected message')[1].headers['x-death'][0]['reason'], 'rejected')
    for name in [dead, queue]:
        channel.queue_delete(name)
    channel.exchange_delete(dlx)
    return 'expired, rejected'


@connected
def large(connection, channel):
    body = large_body()
    queue = channel.queue_declare('', exclusive=True).method.queue
    publish(channel, queue, body)
    consumer = Consumer(connection, channel, queue)
    method, _, got = consumer.take('the message')
    same('sha256', sha256(got), sha256(body))
    channel.basic_ack(method.delivery_tag)
    return 'sha256'


def surviving(what):
    def script():
        kept, flow = fresh('kept'), fresh('flow')
        connection = connect()
        channel = connection.channel()
        channel.confirm_delivery()
        for queue in [kept, flow]:
            channel.queue_declare(queue, durable=True)
        publish(channel, kept, 'kept', PERSISTENT)
        consumer = Consumer(connection, channel, flow)
        publish(channel, flow, 'before', PERSISTENT)
        method, _, body = consumer.take('the message before')
        same('first', body, b'before')
        channel.basic_ack(method.delivery_tag)
        connection.process_data_events(0)
        ask(what)
        try:
            until('the end of the connection', lambda: False, lambda: connection.process_data_events(0.1))
        except (ConnectionClosed, AMQPConnectionError):
            pass  # as it should be

        connection = retried(connect, AMQPConnectionError)
        channel = connection.channel()
        channel.confirm_delivery()
        consumer = Consumer(connection, channel, flow)
        publish(channel, flow, 'after', PERSISTENT)
        body = consumer.take('the message after')[2]
        if body == b'before':  # its ack may not have reached the broker's disk
            body = consumer.take('the message after')[2]
        same('second', body, b'after')
        _, properties, body = taken(channel, kept)
        same('kept', (body, properties.delivery_mode), (b'kept', 2))
        for queue in [kept, flow]:
            channel.queue_delete(queue)
        connection.close()
        return 'connects again'

    return script


@connected
def headers(connection, channel):
    queue = channel.queue_declare('', exclusive=True).method.queue
    sent = {
        'text': 'hébé', 'yes': True, 'no': False, 'int': -70_000, 'long': 2**40, 'nothing': None, 'bytes': b'\x00\xff\xce',
        'list': [1, 'two', {'three': 3}, None], 'table': {'a': {'b': 'c'}}, 'decimal': Decimal('3.14'), 'stamp': datetime(2023, 11, 14, 22, 13, 20),
    }
    words = {'content_type': 'text/x', 'content_encoding': 'y', 'priority': 3, 'message_id': 'm', 'type': 't', 'app_id': 'a', 'user_id': 'guest', 'timestamp': 1_700_000_001}
    publish(channel, queue, b'', pika.BasicProperties(headers=sent, **words))
    _, properties, body = taken(channel, queue)
    same('headers', properties.headers, sent)
    same('properties', {word: getattr(properties, word) for word in words}, words)
    same('body', body, b'')
    return f'{len(sent)} values'


@connected
def priority(connection, channel):
    queue = channel.queue_declare('', exclusive=True, arguments={'x-max-priority': 10}).method.queue
    for level in [1, 9, 5, 20, 0]:
        publish(channel, queue, str(level), pika.BasicProperties(priority=level))
    same('order', [taken(channel, queue)[2].decode() for _ in range(5)], ['20', '9', '5', '1', '0'])
    return ''


@connected
def returned(connection, channel):
    try:
        publish(channel, 'nowhere', 'lost', exchange='amq.direct', mandatory=True)
    except UnroutableError as error:
        method, body = error.messages[0].method, error.messages[0].body
        same('return', (method.reply_code, method.reply_text, method.exchange, method.routing_key, body), (312, 'NO_ROUTE', 'amq.direct', 'nowhere', b'lost'))
        return '312 NO_ROUTE'
    raise AssertionError('nothing was returned')


@connected
def exclusive(connection, channel):
    queue = channel.queue_declare('', exclusive=True).method.queue
    other = connect()
    refused('another connection', other, lambda channel: channel.queue_declare(queue, passive=True), 405, 'RESOURCE_LOCKED')
    connection.close()
    refused('once it is closed', other, lambda channel: channel.queue_declare(queue, passive=True), 404, 'NOT_FOUND')
    other.close()
    return '405, then 404'


@connected
def cancelled(connection, channel):
    queue = fresh('cancelled')
    channel.queue_declare(queue)
    told = []
    channel.add_on_cancel_callback(told.append)
    tag = channel.basic_consume(queue, lambda *_: None)
    connection.channel().queue_delete(queue)
    until('the cancel', lambda: told, lambda: connection.process_data_events(0.1))
    same('consumer', told[0].method.consumer_tag, tag)
    return ''


@connected
def get(connection, channel):
    queue = channel.queue_declare('', exclusive=True).method.queue
    same('empty queue', channel.basic_get(queue), (None, None, None))
    for body in ['a', 'b']:
        publish(channel, queue, body)
    method, _, body = taken(channel, queue)
    same('message', (body, method.message_count, method.redelivered, method.routing_key), (b'a', 1, False, queue))
    return ''


def blocked():
    connection = connect(ask('squeeze'))
    try:
        told = []
        connection.add_on_connection_blocked_callback(lambda *_: told.append('blocked'))
        connection.add_on_connection_unblocked_callback(lambda *_: told.append('unblocked'))
        channel = connection.channel()  # without confirms: basic_publish would wait for one
        queue = channel.queue_declare('', exclusive=True).method.queue
        publish(channel, queue, 'held')
        until('connection.blocked', lambda: told == ['blocked'], lambda: connection.process_data_events(0.1))
        ask('relieve')
        until('connection.unblocked', lambda: told == ['blocked', 'unblocked'], lambda: connection.process_data_events(0.1))
        same('body', taken(channel, queue)[2], b'held')
        return 'blocked, unblocked'
    finally:
        ask('relieve')
        connection.close()


serve({
    'confirms': confirms, 'ack and nack': ack_and_nack, 'topology': topology, 'rpc': rpc, 'ttl and dlx': ttl_and_dlx, '10 MB': large,
    'restart': surviving('restart'), 'killed': surviving('kill'), 'headers': headers, 'priority': priority, 'returned': returned,
    'exclusive': exclusive, 'cancelled': cancelled, 'get': get, 'blocked': blocked,
})
