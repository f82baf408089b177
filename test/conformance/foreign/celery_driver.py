# Celery with a real worker process: tasks with results, retries and late acks; the worker's own recovery.
# Tasks are published with confirms; results come back through the rpc:// backend's reply queue; the worker's gossip and mingle stay on.

import os
import random
import subprocess
import sys
import traceback

from foreign_driver import URL, Beyond, Patience, answer, ask, fresh, same, serve, until

os.environ['FOREIGN_URL'] = URL
os.environ['FOREIGN_QUEUE'] = fresh('celery')

from amqp.exceptions import NotFound  # noqa: E402
from kombu import Exchange, Queue  # noqa: E402
import celery_tasks as tasks  # noqa: E402

app = tasks.app
RETRY = {'max_retries': None, 'interval_start': 0.05, 'interval_step': 0.05, 'interval_max': 0.2}


def got(result):
    return result.get(timeout=Patience.seconds)


def confirms():
    results = [tasks.add.delay(index, index) for index in range(30)]
    same('results', [got(result) for result in results], [2 * index for index in range(30)])
    return '30 tasks, confirmed one by one'


def ack_and_nack():
    same('a task that was given back', got(tasks.requeued.delay()), 'again')
    same('retries', got(tasks.flaky.delay(3)), 3)
    with app.connection_for_read() as connection:
        queue = Queue(os.environ['FOREIGN_QUEUE'], channel=connection)
        same('tasks left', queue.queue_declare(passive=True).message_count, 0)
    return 'late ack with prefetch 1, Reject(requeue), retry'


def topology():
    source, sink, queue = fresh('source'), fresh('sink'), fresh('tasks')
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        Exchange(source, 'topic', channel=channel).declare()
        # the worker declares exchange, queue and binding
        worked(connection, queue, exchange=sink, exchange_type='topic', routing_key='order.*')
        Exchange(sink, 'topic', channel=channel).bind_to(source, routing_key='#')
        result = tasks.seen.apply_async(exchange=source, routing_key='order.new')
        same('routing key', got(result)['key'], 'order.new')
        unworked(connection, queue)
        bound = Queue(queue, channel=channel)
        bound.delete()
        Exchange(sink, channel=channel).delete()
        Exchange(source, channel=channel).delete()
        try:
            bound.queue_declare(passive=True)
            raise AssertionError('a deleted queue is there')
        except NotFound:
            return 'declared by the worker, e2e, passive'


def rpc():
    answers = app.control.ping(timeout=Patience.seconds, limit=1)
    same('pongs', [answer['ok'] for each in answers for answer in each.values()], ['pong'])
    same('result', got(tasks.add.delay(40, 2)), 42)
    return 'rpc:// reply queue, remote control'


def ttl_and_dlx():
    waiting, queue = fresh('waiting'), os.environ['FOREIGN_QUEUE']
    with app.connection_for_write() as connection:
        arguments = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue, 'x-message-ttl': 60_000}
        bound = Queue(waiting, channel=connection, queue_arguments=arguments)
        death = got(tasks.dead.apply_async(queue=bound, expiration=0.02))
        expected = {'count': 1, 'reason': 'expired', 'queue': waiting, 'exchange': '', 'routing-keys': [waiting], 'original-expiration': '20', 'time': True}
        same('x-death', death, expected)
        bound.delete()
    return 'x-death in the task'


def large():
    text = random.randbytes(5 * 1024 * 1024 + 1024).hex()
    same('sha256', got(tasks.sha256.delay(text)), tasks.sha256(text))
    return 'sha256, as an argument'


def surviving(what):
    def script():
        told, later = Queue(fresh('told'), durable=True), Queue(fresh('later'), durable=True)
        with app.connection_for_write() as connection:
            told.bind(connection).declare()
        # Nobody consumes it yet: it waits in the broker while that ends and starts.
        tasks.tell.apply_async((told.name, 'kept'), queue=later)
        ask(what)
        tasks.tell.apply_async((told.name, 'after'), retry=True, retry_policy=RETRY)
        with app.connection_for_read() as connection:
            words = Words(connection, told)
            same('the task that came after', words.take('the task that came after'), 'after')
            worked(connection, later.name)
            same('the task that was kept', words.take('the task that was kept'), 'kept')
            unworked(connection, later.name)
            for queue in [told, later]:
                queue.bind(connection).delete()
        return "the worker's own recovery"

    return script


def headers():
    sent = {'text': 'hébé', 'number': 2**40, 'truth': True, 'nothing': None, 'items': [1, 'two', {'three': 3}]}
    same('headers', got(tasks.seen.apply_async(headers=sent))['headers'], sent)
    return '5 values'


def priority():
    with app.connection_for_write() as connection:
        queue, told = Queue(fresh('priority'), max_priority=10), Queue(fresh('told'))
        told.bind(connection).declare()
        for level in [1, 9, 5]:
            tasks.tell.apply_async((told.name, level), queue=queue, priority=level)
        words = Words(connection, told)
        worked(connection, queue.name, options={'queue_arguments': {'x-max-priority': 10}})
        same('order', [words.take('a task') for _ in range(3)], [9, 5, 1])
        unworked(connection, queue.name)
        for each in [queue, told]:
            each.bind(connection).delete()
    return ''


def cancelled():
    # A worker whose queue is deleted is told so, declares the queue again and goes on.
    with app.connection_for_write() as connection:
        queue = Queue(os.environ['FOREIGN_QUEUE'])
        queue.bind(connection).delete()
        consumed(connection, queue.name, 1)
    same('result', got(tasks.add.delay(1, 2)), 3)
    return 'the worker declares its queue again'


class Words:
    """What tasks told."""

    def __init__(self, connection, queue):
        self.queue = queue.bind(connection)

    def take(self, what):
        words = []

        def read():
            message = self.queue.get(no_ack=True)
            if message is not None:
                words.append(message.payload)

        until(what, lambda: words, read)
        return words[0]


def worked(connection, queue, **options):
    """Has the worker consume from a queue; its answer comes before it does."""
    app.control.add_consumer(queue, connection=connection, reply=True, timeout=Patience.seconds, limit=1, **options)
    consumed(connection, queue, 1)


def unworked(connection, queue):
    app.control.cancel_consumer(queue, connection=connection, reply=True, timeout=Patience.seconds, limit=1)
    consumed(connection, queue, 0)


def consumed(connection, queue, count):
    counts = []

    def look():
        channel = connection.channel()
        try:
            counts.append(Queue(queue, channel=channel).queue_declare(passive=True).consumer_count)
            channel.close()
        except NotFound:
            pass  # not yet

    until(f'{count} consumers of {queue}', lambda: counts and counts[-1] == count, look)


def beyond(why):
    def script():
        raise Beyond(why)

    return script


def forked(action, *given):
    """In a process of its own, as another sender: the connections and the reply queue of one do not outlive a broker."""
    pid = os.fork()
    if pid == 0:
        try:
            action(*given)
        except Exception:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit('a sender has failed')


def await_worker():
    until('the worker', lambda: app.control.ping(timeout=0.5, limit=1), lambda: None)


def main():
    words = ['-A', 'celery_tasks', 'worker', '--pool', 'prefork', '--concurrency', '1', '--loglevel', 'INFO']
    # -B: no compiled files beside the sources. Its log is the driver's.
    worker = subprocess.Popen([sys.executable, '-B', '-m', 'celery', *words], cwd=os.path.dirname(os.path.abspath(__file__)), stdout=sys.stderr)
    scripts = {
        'confirms': confirms, 'ack and nack': ack_and_nack, 'topology': topology, 'rpc': rpc, 'ttl and dlx': ttl_and_dlx, '10 MB': large,
        'restart': surviving('restart'), 'killed': surviving('kill'), 'headers': headers, 'priority': priority, 'cancelled': cancelled,
        'returned': beyond('no one hears a return'), 'exclusive': beyond('queues of tasks are shared'), 'get': beyond('workers consume'),
        'blocked': beyond('no one hears it'),
    }
    try:
        forked(await_worker)
        serve(scripts, lambda *given: forked(answer, *given))
    finally:
        worker.terminate()
        worker.wait()


main()
