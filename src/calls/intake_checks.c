/*
 * intake_checks.c
 *	  Everything that a packet can be refused for before anything is written: what the sender says
 *	  about its track, its number, its bytes.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "calls/intake_checks.h"
#include "calls/tracks.h"
#include "core/audio/container.h"
#include "core/audio/counter.h"
#include "server/guc.h"
#include "server/texts.h"

bool
mulberry_refuse(mulberry_fault *fault, int sqlstate, const char *message)
{
	*fault = (mulberry_fault){ .sqlstate = sqlstate, .message = message };
	return false;
}

void
mulberry_raise_fault(const mulberry_fault *fault)
{
	ereport(ERROR, (errcode(fault->sqlstate), errmsg("%s", fault->message),
					fault->detail ? errdetail("%s", fault->detail) : 0,
					fault->hint ? errhint("%s", fault->hint) : 0));
	pg_unreachable();
}

static void
read_counter(FunctionCallInfo fcinfo, int counter_bits, int first_sequence, mulberry_format *format)
{
	int64 last = MULBERRY_MAX_SEQUENCE;

	format->counter_bits = PG_ARGISNULL(counter_bits) ? 0 : PG_GETARG_INT32(counter_bits);
	format->first_sequence = MULBERRY_NO_FIRST;
	if (!PG_ARGISNULL(counter_bits))
	{
		if (format->counter_bits != 16 && format->counter_bits != 32)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("counters of %d bits are not known", format->counter_bits),
							errdetail("counter_bits is 16, 32 or null.")));
		last = (INT64CONST(1) << format->counter_bits) - 1;
	}
	if (first_sequence < 0 || PG_ARGISNULL(first_sequence))
		return;
	format->first_sequence = PG_GETARG_INT64(first_sequence);
	if (format->first_sequence < 0 || format->first_sequence > last)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("first_sequence %lld is out of range", (long long) format->first_sequence),
				 errdetail("It must lie between 0 and %lld.", (long long) last)));
}

void
mulberry_read_format(FunctionCallInfo fcinfo, int encoding, int sample_rate, int counter_bits,
					 int first_sequence, mulberry_format *format)
{
	format->has_encoding = !PG_ARGISNULL(encoding);
	format->encoding = MULBERRY_ENCODING_TEXT;
	format->sample_rate = 0;
	if (format->has_encoding)
	{
		text *name = PG_GETARG_TEXT_PP(encoding);

		if (!mulberry_call_encoding_from_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
											  &format->encoding))
		{
			mulberry_check_argument("encoding", name);
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unknown encoding \"%s\"", text_to_cstring(name)),
							errdetail("Encodings are mulaw, alaw, s16le and text.")));
		}
	}
	if (!PG_ARGISNULL(sample_rate))
	{
		format->sample_rate = PG_GETARG_INT32(sample_rate);
		if (!mb_rate_supported(format->sample_rate))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unsupported sample rate %d", format->sample_rate),
							errdetail("Sample rates are 8000, 16000, 44100 and 48000 Hz.")));
	}
	read_counter(fcinfo, counter_bits, first_sequence, format);
}

static bool
check_name(const char *what, const text *name, int longest, mulberry_fault *fault)
{
	int length = VARSIZE_ANY_EXHDR(name);

	if (length >= 1 && length <= longest)
	{
		if (mulberry_text_fits_utf8(VARDATA_ANY(name), length))
			return true;
		return mulberry_refuse(fault, ERRCODE_UNTRANSLATABLE_CHARACTER,
							   psprintf("%s has a character that UTF-8 does not have", what));
	}
	mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
					psprintf(length == 0 ? "%s is empty" : "%s is too long", what));
	fault->detail = psprintf("It must have 1 to %d bytes and has %d.", longest, length);
	return false;
}

bool
mulberry_check_call_id(const text *call_id, mulberry_fault *fault)
{
	return check_name("call id", call_id, MULBERRY_MAX_CALL_ID, fault);
}

bool
mulberry_check_track_name(const text *track, mulberry_fault *fault)
{
	return track == NULL || check_name("name of a track", track, MULBERRY_MAX_TRACK, fault);
}

static bool
refuse_sequence(int64 sequence, mulberry_fault *fault)
{
	mulberry_refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
					psprintf("sequence " INT64_FORMAT " is out of range", sequence));
	fault->detail = psprintf("It must lie between 0 and %d.", MULBERRY_MAX_SEQUENCE);
	return false;
}

/* What no track can have; the rest is seen in mulberry_place_packet(). */
bool
mulberry_check_sequence(int64 sequence, mulberry_fault *fault)
{
	if (sequence >= 0 && sequence <= PG_UINT32_MAX)
		return true;
	refuse_sequence(sequence, fault);
	fault->detail =
		psprintf("It must lie between 0 and %d, that of a counter of 32 bits between 0 and %u.",
				 MULBERRY_MAX_SEQUENCE, PG_UINT32_MAX);
	return false;
}

bool
mulberry_check_size(Datum data, mulberry_fault *fault)
{
	Size size = toast_raw_datum_size(data) - VARHDRSZ;

	if (size == 0)
		return mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE, "packet is empty");
	if (size <= mulberry_max_packet_size)
		return true;
	mulberry_refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					psprintf("packet of %zu bytes is larger than mulberry.max_packet_size", size));
	fault->detail = psprintf("A packet may have at most %d bytes.", mulberry_max_packet_size);
	return false;
}

bool
mulberry_check_sent_at(TimestampTz sent_at, mulberry_fault *fault)
{
	return !TIMESTAMP_NOT_FINITE(sent_at) ||
		   mulberry_refuse(fault, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "sent_at must be finite");
}

/* "call "x"", or "track "y" of call "x"" when the call need not have only one. */
char *
mulberry_describe_track(const mulberry_call *call, const mulberry_track *track)
{
	if (mulberry_shown_track_name(track)[0] == '\0')
		return psprintf("call \"%s\"", call->call_id);
	return psprintf("track \"%s\" of call \"%s\"", track->name, call->call_id);
}

/* Checks that what the sender says about the track is what it already is. */
bool
mulberry_check_format(const mulberry_call *call, const mulberry_track *track,
					  const mulberry_format *format, mulberry_fault *fault)
{
	if ((format->has_encoding && format->encoding != track->encoding) ||
		(format->sample_rate != 0 && format->sample_rate != track->sample_rate))
	{
		mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("packet does not have the encoding and sample rate of %s",
								 mulberry_describe_track(call, track)));
		fault->detail =
			psprintf("The %s began as %s at %d Hz.", track->number == 0 ? "call" : "track",
					 mulberry_call_encoding_name(track->encoding), track->sample_rate);
		return false;
	}
	if (format->counter_bits != 0 && format->counter_bits != track->counter_bits)
	{
		mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s does not count in %d bits",
								 mulberry_describe_track(call, track), format->counter_bits));
		fault->detail = track->counter_bits == 0
							? "It began with sequences that do not wrap."
							: psprintf("It began with a counter of %d bits.", track->counter_bits);
		return false;
	}
	if (format->first_sequence != MULBERRY_NO_FIRST && track->first_sequence != MULBERRY_NO_FIRST &&
		format->first_sequence != track->first_sequence)
	{
		mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s does not begin with sequence " INT64_FORMAT,
								 mulberry_describe_track(call, track), format->first_sequence));
		fault->detail = psprintf("It began with sequence " INT64_FORMAT ".", track->first_sequence);
		return false;
	}
	return true;
}

/*
 * Where a packet with the sender's number belongs: how many after the first.  Counters are unwrapped
 * to the number that is nearest to the expected one.
 */
bool
mulberry_place_packet(const mulberry_intake *intake, int64 number, int32 *sequence,
					  mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;
	int64 first = track->first_sequence;
	int64 place;

	if (track->counter_bits == 0)
	{
		if (number > MULBERRY_MAX_SEQUENCE)
			return refuse_sequence(number, fault);
		place = number - first;
	}
	else if (number >> track->counter_bits != 0)
	{
		mulberry_refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
						psprintf("sequence " INT64_FORMAT " is no counter of %d bits", number,
								 track->counter_bits));
		fault->detail = psprintf("%s counts from 0 to " INT64_FORMAT ", and begins at 0 again.",
								 mulberry_describe_track(&intake->call, track),
								 (INT64CONST(1) << track->counter_bits) - 1);
		return false;
	}
	else
		place = first == MULBERRY_NO_FIRST ? 0
										   : mb_counter_unwrap(track->counter_bits, (uint32) number,
															   first + intake->next) -
												 first;
	if (place < 0)
	{
		mulberry_refuse(fault, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
						psprintf("sequence " INT64_FORMAT " lies before the first one of %s",
								 number, mulberry_describe_track(&intake->call, track)));
		fault->detail = psprintf("It begins with sequence " INT64_FORMAT ".", first);
		return false;
	}
	if (place > MULBERRY_MAX_SEQUENCE)
		return refuse_sequence(number, fault);
	*sequence = (int32) place;
	return true;
}

/*
 * Checks the first packet of a track: a file that is sent as it is begins with what its kind begins
 * with, and would be noise and no words.
 */
static bool
check_beginning(Datum data, mulberry_fault *fault)
{
	struct varlena *start = PG_DETOAST_DATUM_SLICE(data, 0, MB_CONTAINER_LOOK);
	const char *kind =
		mb_container_name((const uint8 *) VARDATA_ANY(start), VARSIZE_ANY_EXHDR(start));

	if (kind == NULL)
		return true;
	mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
					psprintf("packet is the beginning of a file (%s) and no audio", kind));
	fault->detail = "Packets hold samples alone, without the header of a file.";
	fault->hint = "ingest_recording() takes a whole WAV file.";
	return false;
}

bool
mulberry_check_content(const mulberry_intake *intake, Datum data, mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;

	if (intake->next == 0 && track->encoding != MULBERRY_ENCODING_TEXT &&
		!check_beginning(data, fault))
		return false;
	if (track->encoding == MULBERRY_ENCODING_S16LE)
	{
		if ((toast_raw_datum_size(data) - VARHDRSZ) % 2 == 0)
			return true;
		mulberry_refuse(fault, ERRCODE_INVALID_PARAMETER_VALUE,
						"s16le packet has an odd number of bytes");
		fault->detail = "Each sample takes two bytes.";
		return false;
	}
	if (track->encoding == MULBERRY_ENCODING_TEXT)
	{
		bytea *bytes = DatumGetByteaPP(data);
		const char *start = VARDATA_ANY(bytes);
		int length = VARSIZE_ANY_EXHDR(bytes);
		bool valid =
			memchr(start, '\0', length) == NULL && pg_verify_mbstr(PG_UTF8, start, length, true);

		bool fits = valid && mulberry_utf8_fits_database(start, length);

		if ((Pointer) bytes != DatumGetPointer(data))
			pfree(bytes);
		if (fits)
			return true;
		if (valid)
		{
			mulberry_refuse(
				fault, ERRCODE_UNTRANSLATABLE_CHARACTER,
				"text packet has a character that the database's encoding does not have");
			return false;
		}
		mulberry_refuse(fault, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
						"text packet is not valid UTF-8");
		fault->detail = "Packets of encoding text hold UTF-8 without NUL.";
		return false;
	}
	return true;
}

/* Whether the call can have the track that its packet would begin. */
bool
mulberry_check_new_track(const mulberry_intake *intake, mulberry_fault *fault)
{
	const mulberry_call *call = &intake->call;

	if (!intake->exists || intake->track_exists)
		return true;
	if (call->tracks_named)
	{
		mulberry_refuse(
			fault, ERRCODE_UNDEFINED_OBJECT,
			psprintf("call \"%s\" has no track \"%s\"", call->call_id, intake->track->name));
		fault->detail =
			psprintf("It began with the tracks %s.", mulberry_track_names(call, SnapshotSelf));
		return false;
	}
	if (list_length(mulberry_list_tracks(call, SnapshotSelf)) < MULBERRY_MAX_TRACKS)
		return true;
	mulberry_refuse(fault, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					psprintf("call \"%s\" has too many tracks for \"%s\" as well", call->call_id,
							 intake->track->name));
	fault->detail = psprintf("A call may have at most %d tracks.", MULBERRY_MAX_TRACKS);
	return false;
}

bool
mulberry_check_duplicate(const mulberry_intake *intake, int32 sequence, Datum data,
						 mulberry_fault *fault)
{
	const mulberry_track *track = intake->track;

	if (track->counter_bits == 0 || mulberry_has_data(intake->partition, track->id, sequence, data))
		return true;
	mulberry_refuse(fault, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					psprintf("sequence " INT64_FORMAT " of %s came before with other data",
							 mulberry_sender_number(track, sequence),
							 mulberry_describe_track(&intake->call, track)));
	fault->detail = "Its counter seems to have begun anew.";
	fault->hint = "What it counts now belongs into another track or call.";
	return false;
}
