# VoiceStream's ingest in its own form: FastAPI, SQLAlchemy with asyncpg, a row lock of the call, its list of missing
# sequences, a broadcast to nobody.  The peer of bench/gateway; DATABASE_URL names the database.
#
# usage: uvicorn gateway_original:app
import os
from datetime import datetime
from typing import List, Optional

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel, Field
from sqlalchemy import ARRAY, TIMESTAMP, Column, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=5, max_overflow=10, pool_pre_ping=True, pool_recycle=3600)
Session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
Base = declarative_base()


class Call(Base):
    __tablename__ = "calls"
    call_id = Column(String, primary_key=True)
    state = Column(String, nullable=False, default="IN_PROGRESS")
    total_packets_received = Column(Integer, default=0)
    expected_total_packets = Column(Integer, nullable=True)
    expected_next_sequence = Column(Integer, default=0, nullable=True)
    missing_sequences = Column(ARRAY(Integer), default=[])
    transcription = Column(Text, nullable=True)
    sentiment = Column(String, nullable=True)
    created_at = Column(TIMESTAMP, default=datetime.utcnow)
    updated_at = Column(TIMESTAMP, default=datetime.utcnow, onupdate=datetime.utcnow)


class Packet(Base):
    __tablename__ = "packets"
    id = Column(Integer, primary_key=True, autoincrement=True)
    call_id = Column(String, ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False)
    sequence = Column(Integer, nullable=False)
    data = Column(Text, nullable=False)
    timestamp = Column(Float, nullable=False)
    received_at = Column(TIMESTAMP, default=datetime.utcnow)
    __table_args__ = (UniqueConstraint("call_id", "sequence", name="uq_call_sequence"), Index("idx_packets_call_id", "call_id"))


class PacketRequest(BaseModel):
    sequence: int = Field(..., ge=0)
    data: str = Field(..., min_length=1)
    timestamp: float = Field(..., gt=0)


class PacketResponse(BaseModel):
    status: str
    message: str
    call_id: str
    sequence: int
    total_received: Optional[int] = None
    missing_sequences: Optional[List[int]] = None
    duplicate: bool = False


class ConnectionManager:
    def __init__(self):
        self.active_connections = []

    async def broadcast(self, message):
        for connection in self.active_connections:
            await connection.send_json(message)


manager = ConnectionManager()


async def session():
    async with Session() as db:
        yield db


async def call_with_lock(db, call_id):
    return (await db.execute(select(Call).where(Call.call_id == call_id).with_for_update())).scalar_one_or_none()


app = FastAPI()


@app.on_event("startup")
async def startup():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])


def answer(status, message, call, sequence, duplicate=False):
    return PacketResponse(status=status, message=message, call_id=call.call_id, sequence=sequence,
                          total_received=call.total_packets_received, missing_sequences=call.missing_sequences, duplicate=duplicate)


@app.post("/v1/call/stream/{call_id}", status_code=202, response_model=PacketResponse)
async def ingest(call_id: str, packet: PacketRequest, db: AsyncSession = Depends(session)):
    call = await call_with_lock(db, call_id)
    if call is None:
        try:
            db.add(Call(call_id=call_id, missing_sequences=[], expected_next_sequence=0, total_packets_received=0))
            await db.commit()
        except IntegrityError:
            await db.rollback()
        call = await call_with_lock(db, call_id)
    if call.state != "IN_PROGRESS":
        return answer("rejected", "Call already completed, no longer accepting packets", call, packet.sequence)
    if packet.sequence == call.expected_next_sequence:
        call.expected_next_sequence = packet.sequence + 1
    elif packet.sequence > call.expected_next_sequence:
        missing = list(range(call.expected_next_sequence, packet.sequence))
        call.missing_sequences = list(set(call.missing_sequences + missing))
        call.expected_next_sequence = packet.sequence + 1
    elif packet.sequence in call.missing_sequences:
        call.missing_sequences = [s for s in call.missing_sequences if s != packet.sequence]
    else:
        return answer("duplicate", "Packet already received", call, packet.sequence, True)
    db.add(Packet(call_id=call_id, sequence=packet.sequence, data=packet.data, timestamp=packet.timestamp))
    call.total_packets_received += 1
    await db.commit()
    await manager.broadcast({"event": "packet_received", "call_id": call_id, "sequence": packet.sequence,
                             "total_received": call.total_packets_received, "missing_sequences": call.missing_sequences})
    return answer("accepted", "Packet received successfully", call, packet.sequence)
