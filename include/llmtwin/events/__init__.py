"""RabbitMQ: the queue between the warehouse and the feature pipeline."""

from llmtwin.events.connection import connect
from llmtwin.events.dead_letters import DeadLetter, list_dead_letters, requeue_dead_letters
from llmtwin.events.drain import DrainLimits, DrainResult, drain
from llmtwin.events.publisher import Publisher, properties_of
from llmtwin.events.topology import DEAD_QUEUE, EXCHANGE, QUEUE, declare_topology, queue_depth

__all__ = [
    "DEAD_QUEUE",
    "EXCHANGE",
    "QUEUE",
    "DeadLetter",
    "DrainLimits",
    "DrainResult",
    "Publisher",
    "connect",
    "declare_topology",
    "drain",
    "list_dead_letters",
    "properties_of",
    "queue_depth",
    "requeue_dead_letters",
]
