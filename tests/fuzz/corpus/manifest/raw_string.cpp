in_spec_ = R"(a)"
           R"(b)" R"(c