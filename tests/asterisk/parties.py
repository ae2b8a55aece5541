"""
The people of the tests, as the phones show them; their numbers and names are in config/.
"""

from .told import Caller

#: Extensions of a tenant.
ANN = Caller("0003*001", "Ann Archer", "0003*001")
BEN = Caller("0003*002", "Ben Baker", "0003*002")
CLEO = Caller("0003*003", "Cleo Cook", "0003*003")
DOERTE = Caller("0003*004", "Dörte Dyer 染物", "0003*004")
OLIVE = Caller("0003*051", "Old Olive", "0003*051")

#: An extension of the office, where numbers are plain: it is the default tenant's.
DESK = Caller("101", "Front Desk", "0001*101")

#: Somebody outside.
MO = Caller("15550111222", "Mo Bile")
