/*
 * profiles.c
 *	  What kinds of modems are told; see control.h.
 */
#include "core/modem/control.h"

#include <string.h>

static const mb_modem_profile profiles[] = {
	{
		/*
		 * SIMCom SIM7600, A7670 and kin: raw audio on a second port, only once the call is up. Some firmwares give
		 * none in the second call; they show it by not keeping what AT+CPCMREG said.
		 */
		.name = "sim7600",
		.init = "ATE0|AT+CMEE=2|AT+CLIP=1|?AT+CCWA=1|?AT+CPCMFRM=0|?AT+CPCMBANDWIDTH=1,1|?AT+CMUT="
				"0|?AT+CPCMREG=0",
		.answer = "ATA",
		.start = "AT+CPCMREG=1|AT+CPCMREG? => +CPCMREG: 1",
		.stop = "?AT+CPCMREG=0",
		.hang_up = "?AT+CHUP",
		.list = "AT+CLCC",
		.reset = "AT+CRESET",
		.says_begin = true,
		.refuses = true,
		.rings = 1,
	},
	{
		/* Quectel EC25, EG25 and kin, with audio on a serial port */
		.name = "quectel",
		.init = "ATE0|AT+CMEE=2|AT+CLIP=1|?AT+CCWA=1|?AT+QPCMV=0",
		.answer = "ATA",
		.start = "AT+QPCMV=1,0|AT+QPCMV? => +QPCMV: 1",
		.stop = "?AT+QPCMV=0",
		.hang_up = "?AT+CHUP",
		.list = "AT+CLCC",
		.reset = "AT+CFUN=1,1",
		.says_begin = false,
		.refuses = true,
		.rings = 1,
	},
	{
		/* landline voice modems, ITU-T V.253: who calls is said between the first and the second ring */
		.name = "v253",
		.init = "ATE0|ATV1|AT+FCLASS=8|?AT+VCID=1|?AT+VIT=0|?AT+VSD=128,0",
		.answer = "AT+VLS=1",
		.start = "",
		.stop = "",
		.hang_up = "?AT+VLS=0|?ATH|?AT+FCLASS=8",
		.list = "",
		.reset = "ATZ",
		.says_begin = false,
		.refuses = false,
		.shielded = true,
		.rings = 2,
	},
};

const mb_modem_profile *
mb_modem_profile_of(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
	{
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	return NULL;
}
