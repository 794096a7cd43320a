"""
Contract: AuthServiceProtocol
Version: abc1234 (renegotiated from 9f00b1c)
Renegotiation: 1 of 2
Generated: 2025-01-27T10:00:00Z
"""
from typing import Protocol
