package com.example;

import java.util.List;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

/* A class { with a brace in a comment. */
@Configuration(proxyBeanMethods = false)
public class WebConfig implements WebMvcConfigurer {
    private static final String TEXT = """
        } not the end "
        """;

    List<String> names() {
        return List.of("}", "" + '}');
    }
}
