/* lwIP's tests include what their CMake build writes: nothing is needed of it. */
