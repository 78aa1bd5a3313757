CREATE TYPE mulberry.loudness AS (
    samples   bigint,
    rms_dbfs  double precision,
    peak_dbfs double precision,
    rms_dbm0  double precision,
    dc_offset double precision,
    clipped   bigint
);
COMMENT ON TYPE mulberry.loudness IS
    'how loud audio is: RMS and peak (-Infinity for digital silence), mean as a fraction of full scale, samples at the ends of the range';
