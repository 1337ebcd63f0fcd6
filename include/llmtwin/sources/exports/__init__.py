"""Official exports: what every platform hands out to its users, as zip or as folder."""

from llmtwin.sources.exports.export import Export, ImportOptions, UnknownArchive
from llmtwin.sources.exports.linkedin import LinkedInExport
from llmtwin.sources.exports.medium import MediumExport
from llmtwin.sources.exports.substack import SubstackExport
from llmtwin.sources.exports.x import XExport

# A folder of articles could pass for another platform's, so the order is from the surest sign to the weakest.
EXPORTS: tuple[Export, ...] = (XExport(), SubstackExport(), LinkedInExport(), MediumExport())

__all__ = [
    "EXPORTS",
    "Export",
    "ImportOptions",
    "LinkedInExport",
    "MediumExport",
    "SubstackExport",
    "UnknownArchive",
    "XExport",
]
