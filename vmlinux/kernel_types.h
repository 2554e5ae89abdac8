/* placeholder; the engine fills it */
#pragma once
