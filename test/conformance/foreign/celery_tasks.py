# The tasks that a real Celery worker runs for celery_driver.py, and the application that both share.

import hashlib
import os

from celery import Celery
from celery.exceptions import Reject


def application():
    app = Celery('foreign', broker=os.environ['FOREIGN_URL'], backend='rpc://')
    app.conf.update(
        broker_transport_options={'confirm_publish': True},
        task_default_queue=os.environ['FOREIGN_QUEUE'],
        # one at a time: a task that is not acked would hold up the next
        worker_prefetch_multiplier=1,
        task_acks_late=True,
        broker_connection_max_retries=None,
        worker_hijack_root_logger=False,
    )
    return app


app = application()


@app.task
def add(x, y):
    return x + y


@app.task
def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@app.task(bind=True)
def requeued(self):
    """Gives itself back once, as a worker does that cannot do it now."""
    if not self.request.delivery_info['redelivered']:
        raise Reject('not now', requeue=True)
    return 'again'


@app.task(bind=True, max_retries=5)
def flaky(self, failures):
    if self.request.retries < failures:
        raise self.retry(countdown=0.01)
    return self.request.retries


@app.task(bind=True)
def dead(self):
    """The history of a message that was dead-lettered, as the task sees it."""
    death = self.request.get('x-death')[0]
    return {field: value for field, value in death.items() if field != 'time'} | {'time': death['time'].year > 2020}


@app.task(bind=True)
def seen(self):
    """What came with the task."""
    headers = {name: self.request.get(name) for name in ['text', 'number', 'truth', 'nothing', 'items']}
    return {'headers': headers, 'key': self.request.delivery_info['routing_key'], 'priority': self.request.delivery_info['priority']}


@app.task
def tell(queue, word):
    """Leaves a word in a queue, for who cannot wait for a result: its reply queue ended with the broker."""
    with app.connection_for_write() as connection:
        connection.Producer().publish(word, routing_key=queue, delivery_mode=2)
