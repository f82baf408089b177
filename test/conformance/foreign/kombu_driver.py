# kombu, with py-amqp below it: producers, consumers and entities, ConsumerMixin and publish(retry=True) for recovery.
# It has reject and requeue in place of nack, and confirms one by one (transport option confirm_publish).

import socket
import threading
from datetime import datetime
from decimal import Decimal

from amqp.exceptions import ConsumerCancelled, NotFound, ResourceLocked
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.mixins import ConsumerMixin

from foreign_driver import URL, ask, fresh, large_body, same, serve, sha256, until

RETRY = {'max_retries': None, 'interval_start': 0.05, 'interval_step': 0.05, 'interval_max': 0.2}


def connect():
    return Connection(URL, transport_options={'confirm_publish': True})


def connected(step):
    def script():
        with connect() as connection:
            return step(connection, connection.channel())

    return script


def publish(channel, queue, body, exchange='', **options):
    Producer(channel).publish(body, exchange=exchange, routing_key=queue, content_type='text/plain', content_encoding='utf-8', **options)


def plain(name, channel, **options):
    """A queue on the default exchange."""
    queue = Queue(name, channel=channel, **options)
    queue.declare()
    return queue


def taken(queue, no_ack=True):
    message = queue.get(no_ack=no_ack)
    if message is None:
        raise AssertionError(f'nothing is in {queue.name}')
    return message


class Inbox:
    def __init__(self, connection, channel, queue, **options):
        self.connection = connection
        self.got = []
        self.consumer = Consumer(channel, queues=[queue], on_message=self.got.append, auto_declare=False, **options)
        self.consumer.consume()

    def drain(self):
        try:
            self.connection.drain_events(timeout=0.1)
        except socket.timeout:
            pass  # `until` knows when to stop

    def take(self, what):
        until(what, lambda: self.got, self.drain)
        return self.got.pop(0)


@connected
def confirms(connection, channel):
    queue = plain(fresh('confirms'), channel, durable=True)
    for index in range(100):
        publish(channel, queue.name, f'message {index}', delivery_mode=2)
    same('messages in the queue', queue.queue_declare(passive=True).message_count, 100)
    for index in range(100):
        message = taken(queue, no_ack=False)
        same('body', message.payload, f'message {index}')
        message.ack()
    queue.delete()
    return '100 confirmed, one by one'


@connected
def ack_and_nack(connection, channel):
    queue = plain(fresh('acks'), channel)
    for body in ['one', 'two', 'three']:
        publish(channel, queue.name, body)
    inbox = Inbox(connection, channel, queue, prefetch_count=1)
    seen = []
    for index in range(4):
        message = inbox.take('a delivery')
        seen.append((message.payload, message.delivery_info['redelivered']))
        message.requeue() if index == 0 else message.ack()
    same('deliveries', seen, [('one', False), ('one', True), ('two', False), ('three', False)])
    inbox.consumer.cancel()
    same('messages left', queue.queue_declare(passive=True).message_count, 0)

    publish(channel, queue.name, 'four')
    second = connection.channel()
    same('first time', taken(queue.bind(second), no_ack=False).delivery_info['redelivered'], False)
    second.close()
    message = taken(queue, no_ack=False)
    same('second time', message.delivery_info['redelivered'], True)
    message.reject()
    queue.delete()
    return 'ack, requeue, reject'


@connected
def topology(connection, channel):
    source = Exchange(fresh('source'), 'topic', channel=channel)
    sink = Exchange(fresh('sink'), 'fanout', channel=channel)
    source.declare()
    sink.declare()
    sink.bind_to(source, routing_key='order.*')
    queue = plain('', channel, exclusive=True)
    same('the name that the server gave begins with', queue.name[:8], 'amq.gen-')
    queue.bind_to(sink)
    publish(channel, 'order.new', 'routed', exchange=source.name)
    publish(channel, 'order.new.late', 'not routed', exchange=source.name)
    same('messages', queue.queue_declare(passive=True).message_count, 1)
    same('body', taken(queue).payload, 'routed')
    sink.unbind_from(source, routing_key='order.*')
    publish(channel, 'order.new', 'unbound', exchange=source.name)
    same('what came after unbind', queue.get(), None)

    queue.bind_to('amq.headers', arguments={'x-match': 'all', 'region': 'eu', 'rank': 1})
    for region in ['eu', 'us']:
        publish(channel, '', region, exchange='amq.headers', headers={'region': region, 'rank': 1})
    same('purged', queue.purge(), 1)

    source.declare(passive=True)
    for entity in [source, sink, queue]:
        entity.delete()
    for what, declare in [('queue', lambda other: queue.bind(other).queue_declare(passive=True)), ('exchange', lambda other: source.bind(other).declare(passive=True))]:
        try:
            declare(connection.channel())
            raise AssertionError(f'a passive declare of a deleted {what} was not refused')
        except NotFound as error:
            same(what, (error.reply_code, f'NOT_FOUND - no {what}' in error.reply_text), (404, True))
    return 'e2e, server-named, passive'


@connected
def rpc(connection, channel):
    server = connection.channel()
    queue = plain(fresh('rpc'), server, exclusive=True)
    requests = Inbox(connection, server, queue)
    # Direct reply-to wants requests and replies on one channel.
    replies = Inbox(connection, channel, Queue('amq.rabbitmq.reply-to', no_declare=True, no_ack=True), no_ack=True)
    for word in ['hello', 'good morning']:
        publish(channel, queue.name, word, reply_to='amq.rabbitmq.reply-to', correlation_id=word)
        request = requests.take('the request')
        publish(server, request.properties['reply_to'], f'{request.payload}, world', correlation_id=request.properties['correlation_id'])
        request.ack()
        reply = replies.take('the reply')
        same('reply', (reply.payload, reply.properties['correlation_id']), (f'{word}, world', word))
    return 'direct reply-to'


@connected
def ttl_and_dlx(connection, channel):
    dlx = Exchange(fresh('dlx'), 'direct', channel=channel)
    dlx.declare()
    name = fresh('ttl')
    dead = plain(fresh('dead'), channel)
    dead.bind_to(dlx, routing_key=name)
    queue = plain(name, channel, message_ttl=60, queue_arguments={'x-dead-letter-exchange': dlx.name})
    inbox = Inbox(connection, channel, dead, no_ack=True)

    publish(channel, name, 'short-lived', expiration=0.02)
    message = inbox.take('the expired message')
    same('body and expiration', (message.payload, 'expiration' in message.properties), ('short-lived', False))
    death = message.headers['x-death'][0]
    same('time', isinstance(death.pop('time'), datetime), True)
    expected = {'count': 1, 'reason': 'expired', 'queue': name, 'exchange': '', 'routing-keys': [name], 'original-expiration': '20'}
    same('x-death', death, expected)
    same('x-first-death-reason', message.headers['x-first-death-reason'], 'expired')

    publish(channel, name, 'refused')
    taken(queue, no_ack=False).reject()
    same('reason', inbox.take('the rejected message').headers['x-death'][0]['reason'], 'rejected')
    inbox.consumer.cancel()
    for entity in [dead, queue, dlx]:
        entity.delete()
    return 'expired, rejected'


@connected
def large(connection, channel):
    body = large_body()
    queue = plain('', channel, exclusive=True)
    Producer(channel).publish(body, routing_key=queue.name, content_type='application/octet-stream', content_encoding='binary')
    message = Inbox(connection, channel, queue).take('the message')
    same('sha256', sha256(message.body), sha256(body))
    message.ack()
    return 'sha256'


class Worker(ConsumerMixin):
    """Goes on after a lost connection by itself."""

    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue
        self.got = []
        self.arrived = threading.Condition()

    def get_consumers(self, Consumer, channel):
        return [Consumer(queues=[self.queue], on_message=self.on_message)]

    def on_connection_error(self, exc, interval):
        pass  # the broker is away for a moment

    def on_message(self, message):
        with self.arrived:
            self.got.append(message.payload)
            self.arrived.notify()
        message.ack()

    def take(self, what):
        with self.arrived:
            until(what, lambda: self.got, lambda: self.arrived.wait(0.1))
            return self.got.pop(0)


def surviving(what):
    def script():
        flow = Queue(fresh('flow'), durable=True)
        with connect() as connection:
            kept = plain(fresh('kept'), connection.default_channel, durable=True)
            worker = Worker(connect(), flow)
            thread = threading.Thread(target=worker.run, daemon=True)
            thread.start()
            producer = connection.Producer()

            def send(queue, body):
                producer.publish(body, routing_key=queue.name, delivery_mode=2, retry=True, retry_policy=RETRY, declare=[queue])

            send(kept, 'kept')
            send(flow, 'before')
            same('first', worker.take('the message before'), 'before')
            ask(what)
            send(flow, 'after')
            body = worker.take('the message after')
            if body == 'before':  # its ack may not have reached the broker's disk
                body = worker.take('the message after')
            same('second', body, 'after')
            worker.should_stop = True
            thread.join()
            # The producer revived the connection; entities of the lost channel need the new one.
            message = taken(Queue(kept.name, channel=connection.default_channel))
            same('kept', (message.payload, message.properties['delivery_mode']), ('kept', 2))
            for queue in [kept, flow]:
                Queue(queue.name, channel=connection.default_channel).delete()
        return 'own recovery'

    return script


@connected
def headers(connection, channel):
    queue = plain('', channel, exclusive=True)
    sent = {
        'text': 'hébé', 'yes': True, 'no': False, 'int': -70_000, 'long': 2**40, 'double': 1.5, 'nothing': None,
        'list': [1, 'two', {'three': 3}, None], 'table': {'a': {'b': 'c'}}, 'decimal': Decimal('3.14'), 'stamp': datetime(2023, 11, 14, 22, 13, 20),
    }
    words = {'priority': 3, 'message_id': 'm', 'type': 't', 'app_id': 'a', 'user_id': 'guest', 'timestamp': 1_700_000_001}
    publish(channel, queue.name, '', headers=sent, **words)
    message = taken(queue)
    same('headers', message.headers, sent)
    same('properties', {word: message.properties[word] for word in words}, words)
    same('content', (message.body, message.content_type, message.content_encoding), ('', 'text/plain', 'utf-8'))
    return f'{len(sent)} values'


@connected
def priority(connection, channel):
    queue = plain('', channel, exclusive=True, max_priority=10)
    for level in [1, 9, 5, 20, 0]:
        publish(channel, queue.name, str(level), priority=level)
    same('order', [taken(queue).payload for _ in range(5)], ['20', '9', '5', '1', '0'])
    return ''


@connected
def returned(connection, channel):
    got = []
    producer = Producer(channel, on_return=lambda *each: got.append(each))
    producer.publish('lost', exchange='amq.direct', routing_key='nowhere', mandatory=True)
    same('returned before its confirm', len(got), 1)
    error, exchange, key, message = got[0]
    same('return', (error.reply_code, error.reply_text, exchange, key, message.body), (312, 'NO_ROUTE', 'amq.direct', 'nowhere', 'lost'))
    return '312 NO_ROUTE'


@connected
def exclusive(connection, channel):
    queue = plain('', channel, exclusive=True)
    with connect() as other:
        for error in [ResourceLocked, NotFound]:
            try:
                queue.bind(other.channel()).queue_declare(passive=True)
                raise AssertionError('another connection may see it')
            except error:
                connection.release()  # the first time: its connection is gone then
    return '405, then 404'


@connected
def cancelled(connection, channel):
    queue = plain(fresh('cancelled'), channel)
    inbox = Inbox(connection, channel, queue, tag_prefix='told.')
    try:
        queue.bind(connection.channel()).delete()
        inbox.take('the cancel')
    except ConsumerCancelled as error:
        same('cancelled', str(error).count('told.'), 1)
        return ''
    raise AssertionError('the consumer got a message')


@connected
def get(connection, channel):
    queue = plain('', channel, exclusive=True)
    same('empty queue', queue.get(), None)
    for body in ['a', 'b']:
        publish(channel, queue.name, body)
    message = taken(queue)
    info = message.delivery_info
    same('message', (message.payload, info['message_count'], info['redelivered'], info['routing_key']), ('a', 1, False, queue.name))
    return ''


def blocked():
    told = []
    options = {'on_blocked': lambda *_: told.append('blocked'), 'on_unblocked': lambda *_: told.append('unblocked')}
    with Connection(ask('squeeze'), transport_options=options) as connection:
        try:
            channel = connection.channel()
            queue = plain('', channel, exclusive=True)
            inbox = Inbox(connection, channel, queue)
            publish(channel, queue.name, 'held')
            until('connection.blocked', lambda: told == ['blocked'], inbox.drain)
            ask('relieve')
            until('connection.unblocked', lambda: told == ['blocked', 'unblocked'], inbox.drain)
            same('body', inbox.take('the message').payload, 'held')
        finally:
            ask('relieve')
    return 'blocked, unblocked'


serve({
    'confirms': confirms, 'ack and nack': ack_and_nack, 'topology': topology, 'rpc': rpc, 'ttl and dlx': ttl_and_dlx, '10 MB': large,
    'restart': surviving('restart'), 'killed': surviving('kill'), 'headers': headers, 'priority': priority, 'returned': returned,
    'exclusive': exclusive, 'cancelled': cancelled, 'get': get, 'blocked': blocked,
})
