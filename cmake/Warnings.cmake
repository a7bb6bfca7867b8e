function(latentcore_warnings target)
  target_compile_options(
    ${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow -Wno-unknown-pragmas>
                      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${LATENTCORE_WERROR}>>:-Werror>)
endfunction()
